"""A job of an earlier run, done again from what it read then."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.runner.execute import replay
from sashiko.pipeline.runner.run_record import RunRecord
from tests.unit.pipeline.runner.tiny import Tiny

COPY = "(OUT / 'out/x').write_text((IN / 'in/x').read_text())"


def again(tiny: Tiny, run: RunRecord, step: str, folder: Path) -> Mapping[str, Path]:
    definition = parse_definition(read_json(tiny.home / "runs" / run.id / "definition.json"))
    folder.mkdir()
    return replay(run, definition, step, store=tiny.store, folder=folder)


def content(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_a_job_gives_again_what_it_gave_and_touches_neither_run_nor_store(
    tiny: Any, tmp_path: Path
) -> None:
    tiny.put("s3://b/raw/x", "1")
    run = tiny.run(tiny.job("A", COPY, inputs={"in": "s3://b/raw"}))
    before = content(tiny.home)
    outputs = again(tiny, run, "A", tmp_path / "again")
    assert set(outputs) == {"out"}
    assert (outputs["out"] / "x").read_text() == "1"
    assert outputs["out"].is_relative_to(tmp_path / "again")
    assert content(tiny.home) == before


def test_it_reads_what_is_in_the_store_now(tiny: Any, tmp_path: Path) -> None:
    tiny.put("s3://b/raw/x", "1")
    run = tiny.run(tiny.job("A", COPY, inputs={"in": "s3://b/raw"}))
    tiny.put("s3://b/raw/x", "2")
    assert (again(tiny, run, "A", tmp_path / "again")["out"] / "x").read_text() == "2"


def test_a_cached_step_reads_the_outputs_of_the_run_that_made_them(
    tiny: Any, tmp_path: Path
) -> None:
    tiny.put("s3://b/raw/x", "1")
    steps = (
        tiny.job("A", COPY, inputs={"in": "s3://b/raw"}),
        tiny.job("B", COPY, inputs={"in": tiny.uri("A")}),
    )
    tiny.run(*steps)
    second = tiny.run(*steps)
    assert second.step("B").status == "cached"
    assert (again(tiny, second, "B", tmp_path / "again")["out"] / "x").read_text() == "1"


def test_parameters_and_the_executions_id_are_those_of_the_run(tiny: Any, tmp_path: Path) -> None:
    arguments = [{"Get": "Parameters.Word"}, {"Get": "Execution.PipelineExecutionId"}]
    run = tiny.run(
        tiny.job("A", "(OUT / 'out/x').write_text(' '.join(sys.argv[1:]))", arguments=arguments),
        declarations=[{"Name": "Word", "Type": "String"}],
        parameters={"Word": "hello"},
    )
    assert (again(tiny, run, "A", tmp_path / "again")["out"] / "x").read_text() == "hello run-1"


def test_a_job_that_fails_now_says_why(tiny: Any, tmp_path: Path) -> None:
    tiny.put("s3://b/raw/x", "1")
    code = "int((IN / 'in/x').read_text()) or sys.exit('error: nothing to judge')"
    run = tiny.run(tiny.job("A", code, inputs={"in": "s3://b/raw"}))
    tiny.put("s3://b/raw/x", "0")
    message = r"step A of run run-1 does not succeed again: .*nothing to judge"
    with pytest.raises(InputError, match=message):
        again(tiny, run, "A", tmp_path / "again")


def test_an_input_that_is_gone_is_named(tiny: Any, tmp_path: Path) -> None:
    tiny.put("s3://b/raw/x", "1")
    run = tiny.run(tiny.job("A", COPY, inputs={"in": "s3://b/raw"}))
    tiny.store.path("s3://b/raw/x").unlink()
    with pytest.raises(InputError, match="s3://b/raw"):
        again(tiny, run, "A", tmp_path / "again")
