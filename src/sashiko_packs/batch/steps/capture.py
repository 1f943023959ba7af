"""CaptureAnswers: the answers in the form of captured requests, which monitoring reads.

    python -m sashiko_packs.batch.steps.capture --percent 100

Each row is a request of its own: rows of a table are as independent as the rows that the version
was tested on, which rows of one request of a caller need not be. The rows are chosen by a hash of
their keys, and their ids follow from batch and key: of a batch that a killed run had scored before,
a read takes one record of each row. It runs before the publication, so that no published batch is
without its records.
"""

import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sashiko.base.files import atomic_writer, sha256_bytes
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet
from sashiko.contract.model import Contract
from sashiko.serving.artifact import JSON, format_scalar
from sashiko.serving.local_capture import capture_line, hour_folder
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract
from sashiko_packs.batch.records import Plan, StepArguments, parse_arguments, read_parts
from sashiko_packs.batch.steps.rows import DATA_FILE

_READ_ROWS = 16_384
_MOST = 1 << 32  # of the first 32 bits of a digest


def main() -> None:
    """Runs the step."""
    contract = read_contract()
    arguments = parse_arguments(__doc__, contract, ("percent",))
    batch, plan = arguments.batch.name, Plan.read(processing_input("plan"))
    folder, captured = processing_input("answers"), 0
    hour = processing_output("captures") / hour_folder(arguments.now)
    with atomic_writer(hour / f"{sha256_bytes(batch.encode())}.jsonl") as file:
        if not plan.published:  # else the run that published it has written them
            rows, columns = processing_input("rows") / DATA_FILE, read_parts(folder)[0].columns
            most = int(arguments.options["percent"]) * _MOST // 100
            for row, answer in zip(_rows(rows), _answers(folder), strict=True):
                key = answer["key"]
                if key is None or int(sha256_bytes(str(key).encode())[:8], 16) >= most:
                    continue
                file.write(_line(contract, arguments, columns, row, answer))
                captured += 1
    print(f"{captured:,} answers for monitoring", file=sys.stderr)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with open_parquet(path) as file:
        for batch in file.iter_batches(_READ_ROWS):
            yield from batch.to_pylist()


def _answers(folder: Path) -> Iterator[dict[str, Any]]:
    for part in read_parts(folder):
        yield from _rows(folder / part.file)


def _line(
    contract: Contract,
    arguments: StepArguments,
    columns: Sequence[str],
    row: Mapping[str, Any],
    answer: Mapping[str, Any],
) -> bytes:
    key = str(answer["key"])
    request = {"inputs": [{name: row[name] for name in columns}], "ids": [key]}
    response = None
    if answer["refused"] is None:
        response = json.dumps([{"id": key, **_answer(contract, answer)}], ensure_ascii=False)
    return capture_line(
        json.dumps(request, ensure_ascii=False, default=format_scalar).encode(),
        JSON,
        response,
        time=arguments.now,
        event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arguments.batch.name}/{key}")),
    )


def _answer(contract: Contract, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Writes an answer as the handler does."""
    if contract.is_number:
        return {"value": answer["value"], "interval": [answer["low"], answer["high"]]}
    if len(contract.classes) == 2:
        return {"label": answer["label"], "score": answer["score"]}
    scores = dict(zip(contract.classes, answer["scores"], strict=True))
    return {"label": answer["label"], "scores": scores}


if __name__ == "__main__":
    run_step(main)
