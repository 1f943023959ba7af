"""The table of answers, and the records that the steps of a batch pass on."""

import argparse
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sashiko.base.yaml_models import StepRecord, read_record
from sashiko.contract.glue import GlueColumn, GlueTable
from sashiko.contract.glue_job.spec import TYPES
from sashiko.contract.model import Classification, Contract
from sashiko.errors import InputError
from sashiko_packs.batch.places import JOBS_ROLE, PARTITION, Batch, answers_table, read_time

KEY = "key"


def answer_table(contract: Contract, *, table: str) -> GlueTable:
    """Returns the Glue table of the answers to the rows of `table`.

    The answers are those of the contract's classes, or of its number.
    """
    key = contract.column(contract.key)
    classified: dict[str, Classification] = {KEY: key.classification}
    classes = f"`{'`, `'.join(contract.classes)}`"
    if contract.is_number:
        label = contract.label.column
        answers = [
            ("label", "string", f"The outcome of the value: {classes}."),
            ("value", "double", f"The predicted value of `{label}`."),
            ("low", "double", "The lower end of its interval."),
            ("high", "double", "The upper end of its interval."),
        ]
    else:
        answers = [
            ("label", "string", "The answer; null where no class is likely enough, or refused."),
            ("score", "double", f"The probability of `{contract.classes[-1]}`.")
            if len(contract.classes) == 2
            else ("scores", "array<double>", f"The probabilities of the classes {classes}."),
        ]
    columns = (
        (KEY, TYPES[key.logical_type], f"`{key.name}` of the row."),
        *answers,
        ("refused", "string", "Why the row has no answer; null if it has one."),
        ("version", "bigint", "Of the model that answered."),
        ("threshold", "double", "Its decision threshold."),
        ("run", "string", "The execution of the pipeline that scored the row."),
        ("time", "timestamp", "When that run began, in UTC."),
    )
    return GlueTable(
        name=answers_table(table),
        description=f"Answers in batches: {contract.title}"[:255],
        columns=tuple(
            GlueColumn(
                name=name,
                type=kind,
                comment=text[:255],
                classification=classified.get(name, "none"),
            )
            for name, kind, text in columns
        ),
        partition_key=GlueColumn(
            name=PARTITION,
            type="string",
            comment="The rows and the version; published as one.",
            classification="none",
        ),
        publisher=JOBS_ROLE,
    )


class Publication(StepRecord):
    """A published batch."""

    FILE: ClassVar[str] = "published.json"

    batch: str  # its name, the value of the partition key
    table: str  # of the answers
    location: str  # of the answers' files
    run: str  # that scored it
    time: dt.datetime  # when that run began
    as_of: str
    start: dt.datetime | None
    end: dt.datetime | None
    group: str  # the model package group
    version: int
    threshold: float
    artifact_sha256: str
    contract_sha256: str
    rows: int  # each has one answer
    refused: int  # of them
    abstained: int  # of them: no class is likely enough
    parts: dict[str, str]  # file -> hex SHA-256
    keys_sha256: str  # of the rows' keys in their order

    def describe(self) -> str:
        """Says what was scored, in one line."""
        kinds = {"refused": self.refused, "without a label": self.abstained}
        less = "".join(f", {count:,} {kind}" for kind, count in kinds.items() if count)
        return (
            f"{self.rows:,} rows by {self.group} version {self.version}{less}: {self.table}, "
            f"batch {self.batch}"
        )


class Plan(StepRecord):
    """A version that has passed the preflight and may score."""

    FILE: ClassVar[str] = "plan.json"

    group: str
    version: int
    threshold: float
    artifact_sha256: str
    published: Publication | None  # by an earlier run: nothing is left to do


class PartRecord(StepRecord):
    """What one instance scored; the parts follow one another in the order of the keys."""

    FILE: ClassVar[str] = "_part-{part:05}.json"  # Athena reads no file that begins with `_`

    part: int  # from 0
    parts: int
    rows: int
    refused: int
    abstained: int
    sha256: str  # of the part's file; empty where an earlier run has published the batch
    columns: tuple[str, ...]  # that the model reads

    @property
    def file(self) -> str:
        """The name of the part's file."""
        return part_file(self.part)


def part_file(part: int) -> str:
    """Names an instance's file of answers."""
    return f"part-{part:05}.parquet"


def read_parts(folder: Path) -> tuple[PartRecord, ...]:
    """Reads the records of all parts.

    Raises:
        InputError: if one is missing.
    """
    files = sorted(folder.glob("_part-*.json"))
    records = tuple(read_record(PartRecord, file) for file in files)
    if [record.part for record in records] != list(range(records[0].parts if records else 1)):
        raise InputError(
            f"{folder} has the parts of {len(records)} instances of "
            f"{records[0].parts if records else 'ScoreRows'}: nothing is published; start the run "
            "again"
        )
    return records


@dataclass(frozen=True)
class StepArguments:
    """What the arguments of a step say."""

    batch: Batch
    run: str
    now: dt.datetime  # when the run began
    options: dict[str, Any]  # of the step alone


def parse_arguments(
    description: str | None, contract: Contract, options: Sequence[str] = ()
) -> StepArguments:
    """Parses the arguments that all steps have, and required `options` of the step alone.

    Raises:
        InputError: if a time cannot be read.
    """
    parser = argparse.ArgumentParser(description=description)
    for option in ("as-of", "start", "end", "now", "run", *options):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--version", required=True, type=int)
    values = vars(parser.parse_args())
    times = {name: read_time(values[name], option=f"--{name}") for name in ("start", "end", "now")}
    now = times["now"]
    if now is None:
        raise InputError("--now: expected a time such as 20261128T000000Z")
    batch = Batch(
        contract=contract.sha256[:16],
        as_of=values["as_of"],
        start=times["start"],
        end=times["end"],
        version=values["version"],
    )
    own = {option: values[option.replace("-", "_")] for option in options}
    return StepArguments(batch=batch, run=values["run"], now=now, options=own)
