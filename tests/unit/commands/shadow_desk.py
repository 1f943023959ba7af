"""A project whose tiny versions answer, are captured, and are compared."""

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
