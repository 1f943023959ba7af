"""ResolveChampion: the approved version that a run is compared with, and its label metrics."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.base.files import sha256_file, write_json
from sashiko.bias.gates.estimates import INTERVALS_FILE, PRE_ANALYSIS_FILE
from sashiko.contract.manifest import read_manifest
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import (
    METRICS_FILE,
)
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.steps import resolve_champion
from tests.unit.registry.model_packages.account import (
    BUCKET,
    GROUP,
    KEY,
    replace_signing_key,
)
from tests.unit.steps.register_job import (
    RegisterJob,
    run_register,
)


def _resolve(
    monkeypatch: pytest.MonkeyPatch, job: RegisterJob, *more: str, registry: str = "sagemaker"
) -> Path:
    arguments = ["--registry", registry, "--model-package-group", GROUP, *more]
    monkeypatch.setattr(sys, "argv", ["resolve_champion", *arguments])
    resolve_champion.main()
    return job.root / "processing" / "output" / "champion"


def test_the_champion_is_what_was_approved(job, account, monkeypatch) -> None:
    path = job.input("quality-evidence") / METRICS_FILE
    metrics = json.loads(path.read_text())
    metrics["splits"]["test"]["since"] = "2025-12-01"
    write_json(path, metrics)
    run_register(monkeypatch)
    folder = _resolve(monkeypatch, job)
    assert json.loads((folder / "champion.json").read_text()) == {"champion": None}
    account.decide(1, "Approved")
    folder = _resolve(monkeypatch, job)
    record = json.loads((folder / "champion.json").read_text())["champion"]
    digest = sha256_file(job.archive)
    since = {"test_from": "2025-12-01"}  # the first day of its test split
    assert record == {"version": 1, "sha256": digest, "threshold": 0.5} | since
    assert sorted(path.name for path in folder.iterdir()) == ["champion.json", "model.tar.gz"]
    assert sha256_file(folder / "model.tar.gz") == digest


SIGNED_BY = ("--labels-signed-by", KEY)


@pytest.fixture
def labelled(job: RegisterJob) -> RegisterJob:
    """A job whose labels were analysed, as PreBias writes it."""
    stage = {"label": "late", "label_value_or_threshold": "yes", "facets": {}}
    analysis = {"version": "1.0", "pre_training_bias_metrics": stage}
    write_json(job.input("bias-evidence") / PRE_ANALYSIS_FILE, analysis)
    return job


def _champion_labels(job: RegisterJob) -> Any:
    return json.loads(
        (job.root / "processing/output/labels-of-champion/labels-of-champion.json").read_text()
    )


def test_the_champion_brings_its_label_metrics(labelled, account, monkeypatch) -> None:
    run_register(monkeypatch)
    _resolve(monkeypatch, labelled, *SIGNED_BY)
    assert "has been approved yet" in _champion_labels(labelled)["reason"]
    account.decide(1, "Approved")
    replace_signing_key(account.clients.kms, KEY)  # the earlier key still counts
    _resolve(monkeypatch, labelled, "--labels-signed-by", f"{KEY},{KEY}-1")
    labels = _champion_labels(labelled)["labels"]
    manifest = read_manifest(labelled.input("data-evidence"))
    assert labels["version"] == 1
    assert labels["meaning"] == {
        "the contract": manifest.contract.id,
        "its major version": "2",
        "the label": "late",
        "its positive value": "yes",
    }
    [line] = [
        line
        for line in json.loads((labelled.input("bias-evidence") / INTERVALS_FILE).read_text())
        if line["stage"] == "pre_training"
    ]
    assert labels["estimates"] == [line]
    # A key that counts no longer, and a file that somebody replaced.
    with pytest.raises(InputError, match="has no signature of a key in `signing_keys`"):
        _resolve(monkeypatch, labelled, *SIGNED_BY)
    [key] = [key for key in account.objects() if key.endswith(INTERVALS_FILE)]
    account.clients.s3.put_object(Bucket=BUCKET, Key=key, Body=b"[]")
    with pytest.raises(InputError, match=r"intervals\.json is not the file that was registered"):
        _resolve(monkeypatch, labelled, "--labels-signed-by", f"{KEY},{KEY}-1")


def test_a_champion_on_this_machine_brings_them_without_a_signature(labelled, mlflow, monkeypatch):
    run_register(monkeypatch, registry="mlflow")
    MlflowRegistry(mlflow).decide(GROUP, 1, status="Approved", by="ada", reason="good")
    _resolve(monkeypatch, labelled, *SIGNED_BY, registry="mlflow")
    assert [item["metric"] for item in _champion_labels(labelled)["labels"]["estimates"]] == ["DPL"]


def test_a_champion_without_metrics_of_its_labels_is_not_comparable(job, account, monkeypatch):
    run_register(monkeypatch, "--bias-not-judged", "no facets")
    account.decide(1, "Approved")
    _resolve(monkeypatch, job, *SIGNED_BY)
    assert "version 1 has no metrics of its labels' bias" in _champion_labels(job)["reason"]
