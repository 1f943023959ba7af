"""ResolveChampion: the version that was approved, with the test split that it was judged on."""

import json
import sys
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file
from sashiko.steps import resolve_champion
from tests.unit.registry.model_packages.account import GROUP
from tests.unit.steps.register_job import RegisterJob, run_register


def _resolve(monkeypatch: pytest.MonkeyPatch, job: RegisterJob) -> Path:
    arguments = ["--registry", "sagemaker", "--model-package-group", GROUP]
    monkeypatch.setattr(sys, "argv", ["resolve_champion", *arguments])
    resolve_champion.main()
    return job.root / "processing" / "output" / "champion"


def test_the_champion_says_from_which_day_its_test_split_was(job, account, monkeypatch) -> None:
    path = job.input("metrics") / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["splits"]["test"]["since"] = "2025-12-01"
    path.write_text(json.dumps(metrics))
    run_register(monkeypatch)
    account.decide(1, "Approved")
    record = json.loads((_resolve(monkeypatch, job) / "champion.json").read_text())
    assert record["champion"]["test_from"] == "2025-12-01"


def test_the_champion_is_what_was_approved(job, account, monkeypatch) -> None:
    run_register(monkeypatch)
    folder = _resolve(monkeypatch, job)
    assert json.loads((folder / "champion.json").read_text()) == {"champion": None}
    account.decide(1, "Approved")
    folder = _resolve(monkeypatch, job)
    assert json.loads((folder / "champion.json").read_text()) == {
        "champion": {
            "version": 1,
            "sha256": sha256_file(job.archive),
            "threshold": 0.5,
            "test_from": None,
        }
    }
    assert sorted(path.name for path in folder.iterdir()) == ["champion.json", "model.tar.gz"]
    assert sha256_file(folder / "model.tar.gz") == sha256_file(job.archive)
