"""`sashiko data check FILE`: a contract's data-quality tests on any file, without a pipeline."""

from pathlib import Path

from sashiko.contract.checkpoint import run_checks
from sashiko.contract.model import Contract
from sashiko.data.ingest import read_table
from sashiko.files import sha256_file
from sashiko.gates.verdict import Verdict, decide


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
    table = read_table(path, contract)
    return decide(
        gate="data-quality",
        checks=run_checks(table, contract, "all"),
        inputs={"contract": contract.sha256, "data": sha256_file(path)},
    )
