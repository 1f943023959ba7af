import json
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.steps import judge, publish
from tests.packs.monitoring.steps.window_job import ARGUMENTS, WindowJob, make_job


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WindowJob:
    job = make_job(tmp_path, monkeypatch)
    job.window(audit="alarm")
    job.run(judge, *ARGUMENTS)
    job.text("result", (job.output("result") / "monitor.json").read_text(), file="monitor.json")
    return job


def test_the_outcome_is_added_as_it_is(job: WindowJob, capsys: pytest.CaptureFixture[str]) -> None:
    job.run(publish)
    (copied,) = job.output("history").iterdir()
    assert copied.name == "monitor.json"
    assert copied.read_bytes() == (job.folder("result") / "monitor.json").read_bytes()
    assert capsys.readouterr().err.endswith("2026-03-02 to 2026-03-09: alarm\n")


def test_something_else_is_refused(job: WindowJob) -> None:
    job.text("result", '{"outcome": "ok"}', file="monitor.json")
    with pytest.raises(InputError, match=r"monitor\.json"):
        job.run(publish)
    assert not list(job.output("history").glob("*"))


def test_a_count_that_must_be_hidden_is_not_published(job: WindowJob) -> None:
    text = (job.folder("result") / "monitor.json").read_text().replace("1000", "7")
    job.text("result", text, file="monitor.json")
    job.run(publish)
    published = json.loads((job.output("history") / "monitor.json").read_text())
    assert published["distributions"][0]["reference"] == [None, 600, None]
