"""What Register refuses: evidence of other data, and artifacts that no gate judged."""

import json
import shutil

import pytest

from sashiko.base.files import write_json
from sashiko.contract.manifest import Snapshots, write_snapshots
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
from tests.unit.registry.model_packages.account import Account
from tests.unit.steps.register.arguments import run_register
from tests.unit.steps.register_job import RegisterJob

OTHER = "0" * 64


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("data-quality data", "Validate judged 000000000000, the training snapshot is"),
        ("data-quality-facets data", "ValidateFacets judged 000000000000, the facets snapshot is"),
        ("model-quality training_snapshot", "Prepare split 000000000000, the training snapshot is"),
        ("model-quality facets_snapshot", "Weights weighed 000000000000, the facets snapshot is"),
        ("bias facets_snapshot", "JudgeBias counted 000000000000, the facets snapshot is"),
        ("bias joined_facets_snapshot", "BiasInput joined 000000000000, the facets snapshot is"),
    ],
)
def test_evidence_of_other_data_is_not_registered(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    gate, name = place.split()
    job.read(gate, **{name: OTHER})
    with pytest.raises(InputError, match=message) as caught:
        run_register(monkeypatch)
    assert "load them as a new version, and start the pipeline with it" in str(caught.value)
    job.read(gate, **{name: None})
    with pytest.raises(InputError, match=r"data that it does not name"):
        run_register(monkeypatch)
    assert account.created() == []


def test_explanations_of_other_data_are_not_registered(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(Snapshots(training=OTHER), job.input("tracking"))
    with pytest.raises(InputError, match=r"Explain read 000000000000, the training snapshot is"):
        run_register(monkeypatch)
    assert account.created() == []


def test_facets_that_were_loaded_again_are_enough(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training rows are the same, and every step but the snapshot came from the cache."""
    file = job.input("tracking") / "manifest.json"
    write_json(file, json.loads(file.read_text()) | {"sha256": OTHER})
    with pytest.raises(InputError, match="facets snapshot is 000000000000") as caught:
        run_register(monkeypatch)
    assert str(caught.value).count("the facets snapshot is") == 4
    assert "the training snapshot is" not in str(caught.value)
    assert account.created() == []


def test_without_bias_no_facet_is_required(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.input("tracking") / "manifest.json").unlink()
    for gate in ("data-quality-facets", "bias"):
        shutil.rmtree(job.input("verdicts") / gate)
    job.read("model-quality", facets_snapshot=None)
    run_register(monkeypatch, "--bias-not-judged", "no facets")
    assert len(account.created()) == 1


def test_a_reference_of_another_artifact_or_none_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.describe(artifact_sha256=OTHER)
    with pytest.raises(
        InputError, match=r"reference.json describes another artifact \(sha256 0000"
    ):
        run_register(monkeypatch)
    (job.input("metrics") / "reference.json").unlink()
    with pytest.raises(InputError, match=r"reference.json does not exist"):
        run_register(monkeypatch)
    assert account.created() == []


def _refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, job: RegisterJob, expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        run_register(monkeypatch)
    assert account.objects() == set()
    assert account.created() == []
    assert not job.registration.exists()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"model.onnx": b"other"}, "model.onnx has sha256 .*, the compile lock says"),
        ({"model.onnx": b"graph", "b.py": b""}, "b.py is not in the compile lock"),
        ({}, "model.onnx is missing, the compile lock names it"),
    ],
)
def test_an_artifact_that_compile_did_not_write_is_refused(
    job: RegisterJob,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes],
    expected: str,
) -> None:
    job.pack({"model.onnx": b"graph"})
    job.pack(files, lock=False)
    _refused(account, monkeypatch, job, expected)


def test_an_artifact_that_was_packed_again_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job.input("lock") / "compile-lock.json"
    lock = json.loads(path.read_text())
    path.write_text(json.dumps({**lock, "artifact_sha256": "0" * 64}))
    _refused(account, monkeypatch, job, "is not the archive that the compile lock names")


def test_an_artifact_that_the_gates_did_not_judge_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.pack({"model.onnx": b"another model, with its own lock"})
    _refused(account, monkeypatch, job, "gate model-quality judged another artifact")


def test_a_damaged_artifact_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.archive.write_bytes(job.archive.read_bytes()[:300])
    _refused(
        account,
        monkeypatch,
        job,
        r"model.tar.gz cannot be unpacked: .*; run the step that wrote it again",
    )


def test_a_failed_gate_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = decide(gate="bias", checks=[Check(name="DI", passed=False)], inputs={})
    write_verdict(failed, job.input("verdicts") / "bias")
    _refused(account, monkeypatch, job, "a failed gate cannot be registered")


def test_an_unknown_registry_is_refused(job: RegisterJob, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="ModelRegistry=wandb: expected mlflow or sagemaker"):
        run_register(monkeypatch, registry="wandb")


@pytest.mark.parametrize(
    ("licence", "message"),
    [
        (None, "model.licence is missing: read the licence of tiny's weights"),
        ("GPL-3.0-only", "GPL-3.0-only is not a licence that this environment allows .Apache-2.0"),
    ],
    ids=["none", "not-allowed"],
)
def test_weights_without_an_allowed_licence_are_refused(
    job: RegisterJob,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    licence: str | None,
    message: str,
) -> None:
    file = job.input("config") / "model.json"
    write_json(file, json.loads(file.read_text()) | {"licence": licence})
    with pytest.raises(InputError, match=message):
        run_register(monkeypatch)
    assert account.created() == []


def test_a_causal_lm_that_was_merged_with_another_base_model_is_refused(
    job: RegisterJob, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, lock = job.input("config") / "model.json", job.input("lock") / "compile-lock.json"
    causal = {
        "base": {"model.safetensors": OTHER}, "adapter_sha256": OTHER, "merge_difference": 0.0,
        "answers": [1, 2], "chat_template_sha256": OTHER,
    }  # fmt: skip
    write_json(lock, json.loads(lock.read_text()) | {"causal": causal})
    with pytest.raises(InputError, match=r"model\.family is encoder"):
        run_register(monkeypatch)
    write_json(model, json.loads(model.read_text()) | {"family": "causal"})
    with pytest.raises(InputError, match="merged with another base model"):
        run_register(monkeypatch)
    assert account.created() == []
