"""`sashiko data check FILE`: a contract's data-quality tests on any file, without a pipeline."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sashiko.contract.checkpoint import run_checks
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.contract.table_stream import TableStream
from sashiko.core.files import sha256_file
from sashiko.data.ingest import typed_batches
from sashiko.evaluation.gates.verdict import Verdict, decide


def check_file(path: Path, contract: Contract) -> Verdict:
    """Judges a CSV or Parquet file by a contract.

    The file goes through the contract's ingest cleaning first, so that what is judged is what the
    lake would hold; then every column is judged, personal ones included. No value of a sensitive
    or personal column is repeated in the verdict.

    Args:
        path: the file.
        contract: the data contract.

    Returns:
        The verdict of the gate `data-quality`.

    Raises:
        InputError: if the file cannot become the contract's table: empty, cut off, not UTF-8, a
            column missing or too many, a value of another type.
    """

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return (batch.select(list(names)) for batch in typed_batches(path, contract))

    stream = TableStream(schema=arrow_schema(contract, "all"), read=read)
    return decide(
        gate="data-quality",
        checks=run_checks(stream, contract, "all"),
        inputs={"contract": contract.sha256, "data": sha256_file(path)},
    )
