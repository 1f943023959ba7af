"""`sashiko data check FILE`: a contract's data-quality tests on any file, without a pipeline."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import sha256_file
from sashiko.contract.derive import arrow_schema
from sashiko.contract.leaks import leak_checks
from sashiko.contract.model import Contract
from sashiko.contract.suite_checks import run_checks
from sashiko.contract.table_stream import TableStream
from sashiko.data.ingest import typed_batches
from sashiko.evaluation.gates.verdict import Verdict, decide


def check_file(path: Path, contract: Contract) -> Verdict:
    """Returns the verdict of the gate `data-quality` on a CSV or Parquet file.

    The file is cleaned first as the lake's data are. All columns are checked; the verdict contains
    no value of a sensitive or personal one.

    Raises:
        InputError: as `typed_batches`.
    """

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return (batch.select(list(names)) for batch in typed_batches(path, contract))

    stream = TableStream(schema=arrow_schema(contract, "all"), read=read)
    return decide(
        gate="data-quality",
        checks=[*run_checks(stream, contract, "all"), *leak_checks(stream, contract)],
        inputs={"contract": contract.sha256, "data": sha256_file(path)},
    )
