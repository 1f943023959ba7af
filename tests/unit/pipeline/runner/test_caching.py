"""What runs again, and what does not."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sashiko.pipeline.runner.execute import StepCache
from sashiko.pipeline.runner.run_record import now

COPY = "(OUT / 'out/x').write_text((IN / 'in/x').read_text())"


def pair(tiny: Any, first: str = COPY) -> tuple[Any, Any]:
    return (
        tiny.job("A", first, inputs={"in": "s3://b/raw"}),
        tiny.job("B", COPY, inputs={"in": tiny.uri("A")}),
    )


def test_an_unchanged_run_takes_everything_from_the_cache(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    first = tiny.run(*pair(tiny))
    second = tiny.run(*pair(tiny))

    assert status_of(second) == {"A": "cached", "B": "cached"}
    assert second.step("B").cached_from == "run-1"
    assert second.step("B").outputs == first.step("B").outputs
    assert second.step("B").job == "pipelines-run-1-B"
    assert not (tiny.home / "runs/run-2/logs").exists()


def test_only_steps_that_ask_for_it_are_cached(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    a, b = pair(tiny)
    a["CacheConfig"] = {"Enabled": False}
    tiny.run(a, b)
    assert status_of(tiny.run(a, b)) == {"A": "succeeded", "B": "cached"}


def test_changed_data_runs_what_depends_on_it(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    tiny.put("s3://b/other/x", "1")
    steps = (*pair(tiny), tiny.job("C", COPY, inputs={"in": "s3://b/other"}))
    tiny.run(*steps)
    tiny.put("s3://b/raw/x", "2")

    record = tiny.run(*steps)

    assert status_of(record) == {"A": "succeeded", "B": "succeeded", "C": "cached"}
    assert (tiny.output(record, "B") / "x").read_text() == "2"


def test_equal_outputs_stop_the_rerun_there(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    tiny.run(*pair(tiny, "(OUT / 'out/x').write_text('same')"))
    record = tiny.run(*pair(tiny, "(OUT / 'out/x').write_text('sa' + 'me')"))
    assert status_of(record) == {"A": "succeeded", "B": "cached"}


@pytest.mark.parametrize(
    "change", [{"arguments": ["--x"]}, {"environment": {"X": "1"}}, {"outputs": ("out", "more")}]
)
def test_arguments_environment_and_outputs_count(tiny: Any, status_of: Any, change: dict[str, Any]):
    tiny.run(tiny.job("A"))
    assert status_of(tiny.run(tiny.job("A", **change))) == {"A": "succeeded"}


@pytest.mark.parametrize("what", ["hyperparameters", "environment"])
def test_what_a_training_is_given_counts(tiny: Any, status_of: Any, what: str) -> None:
    first, other = (tiny.training("T", "", **{what: {"PRECISION": kind}}) for kind in ("a", "b"))
    tiny.run(first)
    assert status_of(tiny.run(first)) == {"T": "cached"}
    assert status_of(tiny.run(other)) == {"T": "succeeded"}


def test_the_folder_that_an_input_lands_in_counts(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    step = tiny.job("A", inputs={"in": "s3://b/raw"})
    tiny.run(step)
    assert status_of(tiny.run(step)) == {"A": "cached"}
    [source] = step["Arguments"]["ProcessingInputs"]
    source["S3Input"]["LocalPath"] = "/opt/ml/processing/input/elsewhere"
    assert status_of(tiny.run(step)) == {"A": "succeeded"}


@pytest.mark.parametrize(("step", "a"), [("A", "succeeded"), ("B", "cached")])
def test_from_runs_a_step_and_all_after_it(tiny: Any, status_of: Any, step: str, a: str) -> None:
    tiny.put("s3://b/raw/x", "1")
    steps = (*pair(tiny), tiny.job("C"))
    tiny.run(*steps)
    record = tiny.run(*steps, from_step=step)
    assert status_of(record) == {"A": a, "B": "succeeded", "C": "cached"}


@pytest.mark.parametrize("damage", ["a bit", "remove"])
def test_a_damaged_result_is_made_again(tiny: Any, status_of: Any, damage: str) -> None:
    tiny.put("s3://b/raw/x", "1")
    first = tiny.run(*pair(tiny))
    file = tiny.output(first, "A") / "x"
    flip(file) if damage == "a bit" else file.unlink()

    record = tiny.run(*pair(tiny))

    assert status_of(record) == {"A": "succeeded", "B": "cached"}
    assert tiny.view.notes == ["A: output out of run run-1 was changed: running again"]
    assert (tiny.output(record, "A") / "x").read_text() == "1"


def test_a_failed_step_is_not_cached_and_those_before_it_are(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/x", "1")
    a, b = pair(tiny)
    broken = tiny.job("B", "sys.exit('error: no luck')", inputs={"in": tiny.uri("A")})
    assert status_of(tiny.run(a, broken)) == {"A": "succeeded", "B": "failed"}
    assert status_of(tiny.run(a, broken)) == {"A": "cached", "B": "failed"}
    assert status_of(tiny.run(a, b)) == {"A": "cached", "B": "succeeded"}


def test_a_changed_line_of_a_module_runs_its_step_alone(tiny, status_of, tmp_path, monkeypatch):
    package = tmp_path / "code" / "tinypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "one.py").write_text("def main():\n    from tinypackage import helper\nmain()\n")
    (package / "helper.py").write_text("WORD = 'a'\n")
    (package / "two.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    path = {"PYTHONPATH": str(package.parent)}
    steps = [
        tiny.job(name, command=["python3", "-m", f"tinypackage.{module}"], environment=path)
        for name, module in (("One", "one"), ("Two", "two"))
    ]
    tiny.run(*steps)
    assert status_of(tiny.run(*steps)) == {"One": "cached", "Two": "cached"}

    (package / "helper.py").write_text("WORD = 'b'\n")

    assert status_of(tiny.run(*steps)) == {"One": "succeeded", "Two": "cached"}


def test_results_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = StepCache(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("sashiko.pipeline.runner.execute.now", lambda: now() - timedelta(days=40))
        cache.put("key", run="run-1", described={}, outputs={})

    assert cache.find("key", expires="P30D") is None
    assert cache.find("key", expires="P50D") is not None
    assert cache.find("key", expires="") is not None


def entries(tiny: Any) -> list[Path]:
    return sorted((tiny.home / "cache/steps").glob("*.json"))


@pytest.mark.parametrize("damage", ["cut off", "a digit", "not ours"])
def test_a_damaged_entry_is_reported_and_made_again(tiny: Any, status_of: Any, damage: str) -> None:
    tiny.run(tiny.job("A", "(OUT / 'out/x').write_text('1')"))
    [entry] = entries(tiny)
    text = entry.read_text()
    entry.write_text(
        {
            "cut off": text[:-9],
            "a digit": text.replace("s3://b/runs/run-1", "s3://b/runs/run-9"),
            "not ours": "{}",
        }[damage]
    )
    step = tiny.job("A", "(OUT / 'out/x').write_text('1')")

    assert status_of(tiny.run(step)) == {"A": "succeeded"}
    [note] = tiny.view.notes
    assert note.startswith("A: the record of an earlier result is damaged: running again")
    assert str(entry) in note
    assert status_of(tiny.run(step)) == {"A": "cached"}
    assert tiny.view.notes == []


def flip(file: Path) -> None:
    """Changes one bit of a file, and leaves no other trace: what a disk may do."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    with file.open("r+b") as handle:
        handle.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
