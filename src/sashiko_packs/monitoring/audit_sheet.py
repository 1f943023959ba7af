"""The sheet of drawn rows that a person fills in: their keys, and an empty column for the label.

It has no text: the labeller looks a case up by its key. A spreadsheet executes a cell that starts
like a formula (OWASP, CSV injection), and a key is whatever a caller sent. Such a key gets an
apostrophe in front, which is removed when the labels are read.
"""

import csv
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import read_columns
from sashiko.contract.model import Contract
from sashiko.errors import InputError, disk_reason

# First characters of a formula, the full-width ones too:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = r"'*[=+\-@\t\r\n＝＋－＠]"
_PROBABILITY: Final = "probability"


def write_sheet(draw: Path, sheet: Path, *, contract: Contract) -> None:
    """Writes a CSV file of mode 0600 with key, probability and an empty label, by key.

    Delimiter and encoding are those in which the contract's files are read.

    Args:
        draw: a file of `draw_period`.
        sheet: the file to write.
        contract: names the columns.

    Raises:
        InputError: if there is another file, which may have labels, or it cannot be written.
    """
    rows = read_columns(draw, ["key", "probability"]).to_pylist()
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=contract.ingest.delimiter, lineterminator="\n")
    writer.writerow([contract.key, _PROBABILITY, contract.label.column])
    is_text = _has_text_keys(contract)
    writer.writerows(
        [_guarded(row["key"]) if is_text else row["key"], row["probability"], ""]
        for row in rows
        if row["key"] is not None  # deleted since
    )
    encoding = contract.ingest.encoding
    try:
        content = text.getvalue().encode(encoding)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{sheet}: a key of {draw} has a letter that the contract's `encoding: {encoding}` "
            "lacks; set `encoding: utf-8` under `ingest` of the contract"
        ) from error
    _write_private(sheet, content)


def plain_keys(keys: pa.Array, contract: Contract) -> pa.Array:
    """Removes the apostrophe that a sheet puts before a key that starts like a formula."""
    if not _has_text_keys(contract):
        return keys
    return pc.replace_substring_regex(keys, f"^'({_FORMULA})", r"\1")


def _guarded(key: str) -> str:
    return f"'{key}" if re.match(_FORMULA, key) else key


def _has_text_keys(contract: Contract) -> bool:
    """Says whether a key can be a formula; a negative number is none."""
    return contract.column(contract.key).logical_type == "string"


def _write_private(path: Path, content: bytes) -> None:
    """Writes a file that its owner alone can read; one that is there is never replaced."""
    try:
        if path.exists():
            if path.read_bytes() == content:
                path.chmod(0o600)
                return
            raise InputError(
                f"{path} is there already and may have labels: name another file, or remove it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-") as folder:
            temporary = Path(folder) / "sheet.csv"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
            temporary.rename(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {disk_reason(error)}") from error
