"""A candidate is scored on what the champion answered, and the approver is told what came out."""

import datetime as dt
import json
import shutil
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sashiko.cli import app
from sashiko.errors import InputError
from sashiko.monitoring.reference import write_reference
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.serving.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.serving.capture import Capture, CaptureSettings, CapturingResponder
from tests.e2e.project import ROOT
from tests.e2e.serving.tiny_artifact import WORDS, build_artifact
from tests.unit.steps.monitor.monitor_job import make_reference

GROUP = "complaint-triage"
TEMPLATE = "{product} {complaint_text}"
END = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
STRICTER = {word: weight + 1.0 for word, weight in WORDS.items()}


@dataclass
class Desk:
    """A project with a registry, whose versions are tiny artifacts."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".sashiko"

    @property
    def registry(self) -> MlflowRegistry:
        return MlflowRegistry(f"sqlite:///{self.home / 'mlflow.db'}")

    def register(
        self,
        *,
        approved: bool = False,
        columns: Sequence[str] = (),
        tags: Any = (),
        **artifact: Any,
    ) -> int:
        """Registers a version, whose reference has more `columns` than its template."""
        folder = self.root / f"built-{len(list(self.root.glob('built-*')))}"
        files = folder / "files"
        files.mkdir(parents=True)
        shutil.move(build_artifact(folder, template=TEMPLATE, **artifact), files / "model.tar.gz")
        reference = make_reference(template=TEMPLATE, labels=artifact.get("labels", ("no", "yes")))
        more = [reference.columns[1].model_copy(update={"column": name}) for name in columns]
        write_reference(
            reference.model_copy(update={"columns": (*reference.columns, *more)}), files
        )
        uri = f"sqlite:///{self.home / 'mlflow.db'}"
        client = mlflow_client(uri)
        run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
        required = {"data_sha256": "d", "contract_sha256": "c", "execution_id": folder.name}
        version, _ = self.registry.register(
            GROUP, files=files, run_id=run, threshold=0.5, tags={**required, **dict(tags)}
        )
        if approved:
            self.registry.decide(GROUP, version.version, status="Approved", by="a", reason="b")
        return version.version

    def answer(
        self,
        requests: Sequence[Sequence[str]],
        *,
        version: int = 1,
        time: dt.datetime | None = None,
    ) -> None:
        """Has a version answer and capture requests, each of some complaints."""
        at = time or END - dt.timedelta(days=1)
        settings = CaptureSettings(
            folder=self.home / "capture", endpoint=GROUP, variant="primary", version=version,
            percent=100, retention=10**9,
        )  # fmt: skip
        archive = self.registry.download(self.registry.version(GROUP, version), self.root)
        with (
            open_artifact(archive, threshold=0.5) as artifact,
            closing(Capture(settings, clock=lambda: at)) as capture,
        ):
            responder = CapturingResponder(artifact, capture)
            for number, texts in enumerate(requests):
                rows = [{"product": "Card", "complaint_text": text} for text in texts]
                ids = [f"qx-{version}-{number}-{place}" for place in range(len(texts))]
                with suppress(RequestRefusedError):
                    responder.respond(
                        json.dumps({"inputs": rows, "ids": ids}).encode(),
                        content_type=JSON,
                        accept=JSON,
                    )

    def sashiko(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--recipe", "complaints"])

    def shadow(self, number: int, *options: str) -> Result:
        return self.sashiko("model", "shadow", str(number), "--now", END.isoformat(), *options)

    def approve(self, number: int) -> Result:
        return self.sashiko("model", "approve", str(number), "--reason", "why", "--by", "Ada")

    def file(self, number: int, suffix: str = ".json") -> Path:
        return self.home / "monitor/shadow" / GROUP / str(number) / f"shadow{suffix}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without versions: to create its tables takes seconds."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    mlflow_client(f"sqlite:///{path}")
    return path


@pytest.fixture
def desk(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A project with an approved version."""
    for folder in ("config", "contracts", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / ".sashiko").mkdir()
    shutil.copy(database, tmp_path / ".sashiko")
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    desk.register(approved=True)
    return desk


def complaints(count: int) -> list[list[str]]:
    """Requests of one to three complaints of known words."""
    generator = np.random.default_rng(5)
    return [
        [" ".join(generator.choice(["bad", "awful", "fine", "good"], 3)) for _ in range(size)]
        for size in generator.integers(1, 4, count)
    ]


def refused(result: Result) -> str:
    assert isinstance(result.exception, InputError), (result.exception, result.output)
    return str(result.exception)


def test_the_approver_sees_how_a_candidate_decides(desk: Desk) -> None:
    requests = complaints(300)
    desk.answer(requests)
    assert desk.register(words=STRICTER) == 2
    done = desk.shadow(2)
    assert done.exit_code == 0, done.exception
    record = json.loads(desk.file(2).read_text())
    compared = record["comparison"]
    rows = sum(map(len, requests))
    assert (compared["rows"], compared["requests"], compared["refused"]) == (rows, 300, 0)
    score = {
        name: np.array([_sum(text, words) for texts in requests for text in texts])
        for name, words in (("before", WORDS), ("after", STRICTER))
    }
    gained = int(np.sum((score["after"] >= 0) & (score["before"] < 0)))
    assert compared["decisions"][1:3] == [gained, 0]
    assert compared["positive_rate"]["estimate"]["value"] == pytest.approx(gained / rows)
    first, *_ = done.stdout.splitlines()
    assert first.startswith(f"more positive decisions (+{gained / rows:.3f} [+")
    assert (
        f": {gained:,} decisions became positive, 0 negative; version 2 beside version 1" in first
    )
    assert first.endswith("2026-03-02 to 2026-03-09")
    assert desk.file(2, ".html").read_text().count("<svg") == 1

    approved = desk.approve(2)
    assert approved.exit_code == 0
    assert f"shadow: {first}\n" in approved.stderr
    assert "shadow: accuracy on 0 audited rows: not judged (0 of 0 drawn rows" in approved.stderr
    assert "the champion is another one" not in approved.stderr


def _sum(text: str, words: dict[str, float]) -> float:
    return sum(words.get(word, 0.0) for word in ["card", *text.split()])


def test_a_version_beside_its_own_answers_has_the_same_scores(desk: Desk) -> None:
    desk.answer(complaints(300))
    done = desk.shadow(1, "--json")
    compared = json.loads(done.stdout)["comparison"]
    assert compared["positive_rate"]["outcome"] == "same decisions"
    assert {item["value"] for item in compared["score_differences"]} == {0.0}


def test_equal_captures_give_equal_bytes_and_nothing_of_a_row(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    requests = complaints(250)
    desk.answer(requests)
    desk.register(words=STRICTER)
    written = []
    for _ in range(2):
        done = desk.shadow(2)
        written.append([desk.file(2, suffix).read_bytes() for suffix in (".json", ".html")])
    assert written[0] == written[1]
    shown = done.stdout + done.stderr + "".join(content.decode() for content in written[0])
    assert "qx-" not in shown
    assert not [text for texts in requests for text in texts if text in shown]
    assert not list(scratch.iterdir())  # the decoded requests are gone


def test_a_request_with_a_row_that_the_candidate_refuses_counts_whole(desk: Desk) -> None:
    desk.answer([*complaints(300), ["bad bad bad bad bad bad bad", "good"]])
    desk.answer([["fine"]])
    desk.register(approved=True, truncate=True)
    desk.answer([["bad " * 20, "good"], *complaints(300)], version=2)
    desk.register(words=STRICTER)
    done = desk.shadow(3)
    assert "version 3 refuses requests with 2 rows" in done.stdout
    assert json.loads(desk.file(3).read_text())["comparison"]["requests"] == 300


def test_few_requests_are_not_judged(desk: Desk) -> None:
    desk.answer(complaints(20))
    desk.register(words=STRICTER)
    done = desk.shadow(2)
    assert done.exit_code == 0
    assert done.stdout.startswith("not judged (")
    assert "rows in 20 requests, 200 rows in 30 requests are needed)" in done.stdout
    assert "Too few rows." in desk.file(2, ".html").read_text()
    assert "shadow: not judged (" in desk.approve(2).stderr


def test_a_version_without_a_comparison_says_so_and_how_to_make_one(desk: Desk) -> None:
    desk.register(words=STRICTER)
    approved = desk.approve(2)
    assert "shadow: none, no captured request was scored with this version" in approved.stderr
    assert "sashiko model shadow 2 --recipe complaints\n" in approved.stderr
    assert "shadow" not in desk.sashiko("model", "reject", "2", "--reason", "why").stderr


def test_a_comparison_with_an_earlier_champion_says_so(desk: Desk) -> None:
    desk.answer(complaints(300))
    desk.register(words=STRICTER)
    desk.register(approved=True, words={**WORDS, "fine": 1.0})
    assert "answered no request in the window (versions that did: 1)" in refused(desk.shadow(2))
    desk.registry.decide(GROUP, 3, status="Rejected", by="a", reason="b")
    assert desk.shadow(2).exit_code == 0
    desk.registry.decide(GROUP, 3, status="Approved", by="a", reason="b")
    assert "shadow: the champion is another one since\n" in desk.approve(2).stderr


def test_a_comparison_of_another_artifact_or_a_damaged_one_is_not_shown(desk: Desk) -> None:
    desk.register(words=STRICTER)
    desk.answer(complaints(250))
    desk.shadow(2)
    record = json.loads(desk.file(2).read_text())
    desk.file(2).write_text(json.dumps(record | {"artifact_sha256": "0" * 64}))
    assert "is of another artifact: sashiko model shadow 2" in desk.approve(2).stderr
    desk.file(2).write_text("{")
    damaged = desk.approve(2)
    assert damaged.exit_code == 0
    assert "shadow.json cannot be read: " in damaged.stderr


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({"test_from": "2026-03-02"}, ""),
        ({"test_from": "2026-03-03"}, "its test split begins on 2026-03-03"),
        ({}, "it is not split by time"),
    ],
)
def test_a_candidate_that_may_have_learned_from_the_rows_is_named(
    desk: Desk, tags: dict[str, str], note: str
) -> None:
    desk.answer(complaints(250))
    desk.register(words=STRICTER, tags=tags)
    lines = desk.shadow(2).stdout.splitlines()
    told = [line for line in lines if line.startswith("version 2 may have learned from rows")]
    assert told == [f"version 2 may have learned from rows of the window: {note}"] * bool(note)


def test_what_cannot_be_compared_is_refused(desk: Desk) -> None:
    desk.register(words=STRICTER)
    assert "nothing is captured in" in refused(desk.shadow(2))
    desk.answer(complaints(250))
    assert "has no version 9; registered: 2, 1" in refused(desk.shadow(9))
    early = desk.shadow(2, "--window", "1h")
    assert "version 1, the champion, answered no request in the window" in refused(early)
    assert "--env dev: captured requests of an account are read by jobs of the role `monitor`" in (
        refused(desk.shadow(2, "--env", "dev"))
    )
    assert not desk.file(2).exists()


def test_a_candidate_of_another_contract_is_refused(desk: Desk) -> None:
    desk.answer(complaints(250))
    other = desk.register(labels=("late", "early"))
    message = refused(desk.shadow(other))
    assert "version 2 decides between `late` and `early`, version 1" in message
    assert "between `no` and `yes`" in message
    wider = desk.register(words=STRICTER, columns=["region"])
    assert "version 3 reads column `region`, which the requests to version 1 need not have" in (
        refused(desk.shadow(wider))
    )


def test_a_candidate_whose_artifact_is_damaged_is_refused(desk: Desk) -> None:
    desk.answer(complaints(250))
    desk.register(words=STRICTER)
    stored = max(
        desk.home.rglob("model.tar.gz"), key=lambda path: path.stat().st_mtime_ns
    )  # the last one that was registered
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = refused(desk.shadow(2))
    assert "version 2: model.tar.gz is not the file that was registered" in message
    assert not desk.file(2).exists()
