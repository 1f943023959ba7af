"""ScoreRows: this instance's part of the rows, each answered or refused with its reason.

    python -m sashiko_packs.batch.steps.score

Every instance has all rows and takes consecutive requests, so that a request holds the same rows
whatever the number of instances. Its files have its own number: one that is started again replaces
what it had written, and nothing of another instance. Nobody reads them before Publish.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_file, write_json
from sashiko.base.job_folders import Host, processing_host, processing_input, processing_output
from sashiko.base.parquet import open_parquet, regroup, write_batches
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.serving.artifact import ROWS_PER_REQUEST, Artifact, open_artifact
from sashiko.serving.container.text import columns
from sashiko.serving.row_answers import RowAnswer, answer_rows
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract
from sashiko_packs.batch.records import (
    KEY,
    PartRecord,
    Plan,
    StepArguments,
    answer_table,
    parse_arguments,
    part_file,
)
from sashiko_packs.batch.steps.rows import DATA_FILE

_READ_ROWS = 65_536
_TYPES = {
    "string": pa.string(), "double": pa.float64(), "bigint": pa.int64(),
    "array<double>": pa.list_(pa.float64()), "timestamp": ARROW_TYPES["timestamp"],
    "date": pa.date32(), "boolean": pa.bool_(),
}  # fmt: skip


def answer_schema(contract: Contract) -> pa.Schema:
    """Returns the columns of the files of answers, as their Glue table has them."""
    table = answer_table(contract, table=contract.table)
    return pa.schema([(column.name, _TYPES[column.type]) for column in table.columns])


def main() -> None:
    """Runs the step."""
    contract, host = read_contract(), processing_host()
    arguments = parse_arguments(__doc__, contract)
    plan, folder = Plan.read(processing_input("plan")), processing_output("answers")
    record = PartRecord(
        part=host.index, parts=host.count, rows=0, refused=0, abstained=0, sha256="", columns=()
    )
    if not plan.published:
        rows, path = processing_input("rows") / DATA_FILE, folder / part_file(host.index)
        archive = processing_input("artifact") / ARTIFACT_FILE
        if sha256_file(archive) != plan.artifact_sha256:
            raise InputError(f"{archive} is not the artifact that the preflight checked")
        # An artifact for an accelerator is scored by the model that it was compiled from.
        with open_artifact(archive, threshold=plan.threshold, on_cpu=True) as artifact:
            check_answers(artifact, contract)
            scoring = Scoring(artifact, contract, plan, arguments)
            if unknown := set(scoring.columns) - set(open_parquet(rows).schema_arrow.names):
                raise InputError(
                    f"the version reads {', '.join(sorted(unknown))}, which the rows have not"
                )
            write_batches(path, scoring.batches(rows, host), schema=answer_schema(contract))
            record = record.model_copy(
                update={
                    **scoring.counts,
                    "sha256": sha256_file(path),
                    "columns": scoring.columns,
                }
            )
    name = PartRecord.FILE.format(part=host.index)
    write_json(folder / name, record.model_dump(mode="json"))


def check_answers(artifact: Artifact, contract: Contract) -> None:
    """Checks that an artifact answers what the contract's table of answers has columns for.

    Raises:
        InputError: if it answers something else.
    """
    number = artifact.half_width is not None
    if number != contract.is_number or artifact.labels != contract.classes:
        raise InputError(
            f"the version answers {', '.join(artifact.labels)}, and the label of contract "
            f"`{contract.id}` has {', '.join(contract.classes)}: approve a version of this contract"
        )


class Scoring:
    """Scores an instance's part of the rows, and counts them."""

    def __init__(
        self, artifact: Artifact, contract: Contract, plan: Plan, arguments: StepArguments
    ) -> None:
        """`plan` and `arguments` are what each row's answer says of its run."""
        self._artifact, self._contract = artifact, contract
        self.columns = tuple(columns(artifact.template))  # that the model reads
        self._constants = {
            "version": plan.version,
            "threshold": plan.threshold,
            "run": arguments.run,
            "time": arguments.now,
        }
        self.counts = {"rows": 0, "refused": 0, "abstained": 0}

    def batches(self, path: Path, host: Host) -> Iterator[pa.RecordBatch]:
        """Yields the answers to the rows of an instance, in the order of the keys."""
        schema, repeated = answer_schema(self._contract), repeated_keys(path, self._contract.key)
        for table in part_of(path, host):
            rows = table.to_pylist()
            keys = [row[self._contract.key] for row in rows]
            answers = self._answer(rows, keys, repeated)
            for answer in answers:
                self.counts["rows"] += 1
                self.counts["refused"] += answer.answer is None
                self.counts["abstained"] += answer.answer is not None and not answer.answer.label
            lines = [
                {KEY: key, **self._values(answer)}
                for key, answer in zip(keys, answers, strict=True)
            ]
            print(f"scored {self.counts['rows']:,} rows", file=sys.stderr)
            yield pa.RecordBatch.from_pylist(lines, schema=schema)

    def _answer(
        self, rows: Sequence[dict[str, Any]], keys: Sequence[Any], repeated: frozenset[Any]
    ) -> list[RowAnswer]:
        """Answers the rows with a key of their own: an answer is found by its row's key."""
        key = self._contract.key
        no_key = RowAnswer(None, f"it has no `{key}`")
        twice = RowAnswer(None, f"several rows have its `{key}`")
        refused = {
            place: no_key if name is None else twice
            for place, name in enumerate(keys)
            if name is None or name in repeated
        }
        acceptable = [
            {name: row[name] for name in self.columns}
            for place, row in enumerate(rows)
            if place not in refused
        ]
        answers = iter(answer_rows(self._artifact, acceptable))
        return [refused.get(place) or next(answers) for place in range(len(rows))]

    def _values(self, answer: RowAnswer) -> dict[str, Any]:
        values: dict[str, Any] = dict(self._constants)
        if answer.answer is None:
            return values | {"refused": answer.refused}
        values["label"] = answer.answer.label
        if self._contract.is_number:
            return values | dict(zip(("value", "low", "high"), answer.scores, strict=True))
        scores = answer.scores
        return values | ({"score": scores[0]} if len(scores) == 1 else {"scores": scores})


def part_of(path: Path, host: Host) -> Iterator[pa.Table]:
    """Yields the requests of an instance: consecutive ones, as many as another's or one more."""
    with open_parquet(path) as file:
        requests = -(-file.metadata.num_rows // ROWS_PER_REQUEST)
        start, stop = (requests * index // host.count for index in (host.index, host.index + 1))
        batches = file.iter_batches(_READ_ROWS)
        tables = regroup(batches, file.schema_arrow, rows=ROWS_PER_REQUEST)
        for number, table in enumerate(tables):
            if start <= number < stop:
                yield table


def repeated_keys(path: Path, key: str) -> frozenset[Any]:
    """Returns the keys that several rows have; the rows are ordered by key."""
    repeated: set[Any] = set()
    last = pa.nulls(1)
    with open_parquet(path) as file:
        for batch in file.iter_batches(_READ_ROWS, columns=[key]):
            keys = pa.concat_arrays([last.cast(batch.schema[0].type), batch.column(0)])
            same = pc.equal(keys[1:], keys[:-1])
            repeated |= set(keys[1:].filter(same).to_pylist())
            last = keys[-1:]
    return frozenset(repeated)


if __name__ == "__main__":
    run_step(main)
