"""The folders of a DeviceCheck job: an artifact whose scores are known, and what Evaluate found."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.evaluation.evaluation_record import Decision, write_decision
from sashiko.evaluation.gates.verdict import Check, Verdict, read_verdict
from sashiko.serving.artifact import open_artifact
from sashiko.steps import device_check
from tests.e2e.serving.tiny_artifact import build_artifact, expected_scores
from tests.unit.steps.evaluate_job import write_split

THRESHOLD = 0.9
POLL_SECONDS = 0.02
HOSTED = [
    "--name", "acme-devicecheck-dev",
    "--execution-id", "abc123def456",
    "--model-data", "s3://bucket/runs/abc123def456/Compile/artifact/model.tar.gz",
    "--image", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme/serving:1",
    "--instance-type", "ml.inf2.xlarge",
    "--inference-ami", "al2-ami-sagemaker-inference-neuron-2",
    "--startup-timeout", "600",
    "--download-timeout", "300",
    "--setting", "NEURON_RT_NUM_CORES=1",
    "--role", "arn:aws:iam::111122223333:role/acme-dev-inference",
    "--subnet", "subnet-1",
    "--subnet", "subnet-2",
    "--security-group", "sg-1",
    "--volume-key", "arn:aws:kms:eu-west-1:111122223333:key/1",
    "--output-key", "arn:aws:kms:eu-west-1:111122223333:key/1",
    "--scratch", "s3://bucket/runs/abc123def456/DeviceCheck/transform",
    "--tag", "project=acme",
    "--tag", "environment=dev",
]  # fmt: skip
NAME = "acme-devicecheck-dev-abc123def456"


class DeviceJob:
    """A job's `/opt/ml`."""

    def __init__(self, root: Path, labels: tuple[str, ...] = ("no", "yes")) -> None:
        self.root, self.labels = root, labels
        self._built = root / "built"
        self.archive = self.input("artifact") / "model.tar.gz"
        shutil.copyfile(build_artifact(self._built, labels=labels), self.archive)
        inputs = root / "processing" / "input"
        write_split(inputs / "test" / "data.parquet", name="test", rows=120)
        self.judge()
        decision = Decision(
            threshold=THRESHOLD, policy="fixed", metric="accuracy", validation_value=0.8
        )
        write_decision(decision, self.input("decision"))
        self.section()

    def input(self, name: str) -> Path:
        folder = self.root / "processing" / "input" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def verdict(self) -> Verdict:
        """What the step wrote."""
        return read_verdict(self.root / "processing" / "output" / "verdict")

    def check(self, name: str) -> Check:
        [verdicts] = [check for check in self.verdict.checks if check.name == name]
        return verdicts

    @property
    def handed_on(self) -> dict[str, bool]:
        """Gate -> whether it passed, of the verdicts with their waivers."""
        folder = self.root / "processing" / "output" / "verdicts"
        verdicts = [read_verdict(path) for path in sorted(folder.iterdir())]
        return {verdict.gate: verdict.passed for verdict in verdicts}

    def section(self, **changes: Any) -> None:
        """Writes the recipe's bounds; a laptop under load is no slow device."""
        section = {"rows": 40, "maximum_p50_ms": 60_000, "maximum_p99_ms": 60_000} | changes
        (self.input("config") / "device.json").write_text(json.dumps(section))
        (self.input("config") / "waivers.json").write_text("[]")

    def judge(self, *, rows: int = 120) -> None:
        """Writes what Evaluate says of the first rows of the test split."""
        table = pq.read_table(self.input("test") / "data.parquet").slice(0, rows)
        classes = len(self.labels)
        scores = [expected_scores(text, classes=classes) for text in table["text"].to_pylist()]
        decided = [
            int(row[1] >= THRESHOLD) if classes == 2 else row.index(max(row)) for row in scores
        ]
        columns = {
            "key": table["key"],
            "split": ["test"] * table.num_rows,
            "score": [sum(row[1:]) for row in scores],
            "predicted": decided,
        }
        if classes > 2:
            columns |= {"scores": scores, "answered": [max(row) >= THRESHOLD for row in scores]}
        path = self.input("predictions") / "predictions.parquet"
        pq.write_table(pa.table(columns), path)

    def tampered(self, **words: float) -> Path:
        """Builds an artifact that knows other words."""
        return build_artifact(self.root / "tampered", words=words, labels=self.labels)


@contextmanager
def answering(archive: Path) -> Iterator[Callable[[bytes], bytes]]:
    """Answers requests by an artifact's own handler, as the serving image does."""
    with open_artifact(archive, threshold=THRESHOLD) as artifact:
        kind = "application/json"
        yield lambda body: artifact.respond(body, content_type=kind, accept=kind).encode()


def run(monkeypatch: pytest.MonkeyPatch, backend: str, *words: str) -> None:
    """Runs the step with a backend, and with what the cloud gives it for one."""
    hosted = HOSTED if backend in ("endpoint", "transform") else []
    monkeypatch.setattr(sys, "argv", ["device_check", "--backend", backend, *hosted, *words])
    device_check.main()
