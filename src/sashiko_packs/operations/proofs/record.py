"""The record of a probe: its calls and answers without anything that is the account's own.

A verdict follows from a record alone, so that it can be judged again whenever a belief changes.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import jmespath
from jmespath.functions import Functions, signature
from pydantic import Field

from sashiko.base.files import canonical_json, write_bytes
from sashiko.base.yaml_models import Frozen, read_record
from sashiko_packs.operations.proofs.probe import Probe

Verdict = Literal["holds", "differs", "unknown"]
FOLDER: Final = Path("verification/records")
_OLD: Final = dt.timedelta(days=365)


class ErrorRecord(Frozen):
    """What remains of an error: its headers may name the account."""

    code: str
    message: str = ""
    status: int | None = None  # of HTTP


class CallRecord(Frozen):
    """A call with its last answer."""

    name: str = ""  # of the step
    role: str = ""  # of the step that made the role whose call it is
    operation: str  # `service:Operation`
    request: dict[str, Any]
    response: dict[str, Any] | None = None
    error: ErrorRecord | None = None


class Record(Frozen):
    """What AWS did when a probe ran."""

    id: str
    belief: str
    row: str
    region: str
    date: dt.date
    botocore: str  # its version
    endpoint_override: bool  # whether something else than AWS may have answered: it never counts
    calls: tuple[CallRecord, ...]
    verdict: Verdict
    cost_usd: float = Field(ge=0)  # the probe's price, as no call tells what is billed
    seconds: float = Field(ge=0)

    def write(self, folder: Path) -> Path:
        """Writes the record into a folder; returns its file."""
        file = folder / f"{self.id}.json"
        write_bytes(file, canonical_json(self.model_dump(mode="json", exclude_none=True)))
        return file

    def is_old(self, *, today: dt.date) -> bool:
        """Says whether it was made more than a year ago: AWS may have changed since."""
        return today - self.date > _OLD


def read_records(folder: Path = FOLDER) -> dict[str, Record]:
    """Reads the records of a folder, which may not exist, by id; InputError if one is invalid."""
    return {file.stem: read_record(Record, file) for file in sorted(folder.glob("*.json"))}


def counted(record: Record | None, probe: Probe) -> Verdict | None:
    """Returns what a record says of today's belief; None if AWS was never asked."""
    if record is None or record.endpoint_override:
        return None
    return judge(probe, record.calls)


def judge(probe: Probe, calls: Sequence[CallRecord]) -> Verdict:
    """Returns what the recorded answers say of a belief; a pure function of both.

    `unknown`: a call is missing or failed otherwise, or the answers fit neither side, or both.
    """
    answers = {call.name: answer_values(call.response, call.error) for call in calls if call.name}
    holds, differs = is_true(probe.holds, answers), is_true(probe.differs, answers)
    if holds == differs or not is_true(probe.premise, answers):
        return "unknown"
    return "holds" if holds else "differs"


def answer_values(response: Mapping[str, Any] | None, error: ErrorRecord | None) -> dict[str, Any]:
    """Returns what expressions see of an answer."""
    return {"ok": error is None, "answer": response, **(error.model_dump() if error else {})}


class _Functions(Functions):  # type: ignore[misc]  # untyped
    """JMESPath's functions, and `matches`."""

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]  # as above
    def _func_matches(self, text: str, pattern: str) -> bool:
        return re.search(pattern, text) is not None


def is_true(expression: str, answers: Mapping[str, Any]) -> bool:
    """Evaluates JMESPath with `matches(text, pattern)`; false where a function lacks its value."""
    options = jmespath.Options(custom_functions=_Functions())
    try:
        return jmespath.search(expression, answers, options) is True
    except jmespath.exceptions.JMESPathTypeError:
        return False
