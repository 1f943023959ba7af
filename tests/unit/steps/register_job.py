"""The folders of a Register job: a run's own files, over the small contract of library loans."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file, sha256_tree, walk_files, write_json
from sashiko.bias.gates.estimates import POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.contract.manifest import Snapshots, read_manifest, write_snapshots
from sashiko.evaluation.gates.verdict import Check, decide, read_verdict, write_verdict
from sashiko.evaluation.reference import ColumnCounts, Reference, write_reference
from sashiko.explain.explanation_record import write_explanations
from sashiko.serving.container.pack import pack
from sashiko.steps import register
from tests.unit.explain.records import explanations
from tests.unit.registry.model_packages.account import GROUP, PLACEMENT
from tests.unit.registry.model_packages.gathered import LOCK
from tests.unit.run_report.runs import DIGEST, judged, prepared, started

_INPUTS = (
    ("quality-evidence", "Evaluate", "metrics"),
    ("quality-evidence", "Evaluate", "decision"),
    ("data-evidence", "Snapshot", "manifest"),
    ("bias-evidence", "JudgeBias", "intervals"),
)
_VERDICTS = {
    "data-quality": "data-evidence", "data-quality-facets": "facets-evidence",
    "model-quality": "quality-evidence", "bias": "bias-evidence", "device": "device-verdict",
}  # fmt: skip
SECTIONS: Mapping[str, Mapping[str, object]] = {
    "card": {
        "intended_uses": "Sorting a queue.", "contacts": "desk@example.com", "risk_rating": "Low",
    },
    "train": {"epochs": 2},
    "reweighing": {"facets": ["region"], "strength": 1.5},
    "model": {
        "name": "tiny", "licence": "Apache-2.0", "files": {"model.safetensors": "a" * 64},
        "sources": [{"kind": "file", "path": "models/tiny"}],
    },
}  # fmt: skip
TRAINING, FACETS = DIGEST, "f" * 64  # of the run's snapshots
READ = {
    "data-quality": {"data": TRAINING},
    "data-quality-facets": {"data": FACETS},
    "model-quality": {"training-snapshot": TRAINING, "facets-snapshot": FACETS},
    "bias": {"facets-snapshot": FACETS, "joined-facets-snapshot": FACETS},
}
_JUDGES = ("Validate", "ValidateFacets", "Evaluate", "JudgeBias")
DEFINITION = "5" * 64
MONITORING = {
    f"--{name}-uri": f"s3://artifacts/runs/abc123def456/{name}"
    for name in ("reference", "test", "bias-rows")
}


class RegisterJob:
    """A job's `/opt/ml`."""

    def __init__(self, root: Path) -> None:
        run = started(root / "run")
        prepared(run)
        judged(run)
        self.root = root / "job"
        self._parts = root / "parts"
        evidence = run.folder / "evidence"
        self._copy(evidence / "contract.odcs.yaml", self.input("config"))
        self._copy(evidence / "source.json", self.input("run-manifest"))
        for section, value in SECTIONS.items():
            write_json(self.input("config") / f"{section}.json", value)
        write_json(self.input("config") / "waivers.json", [])
        for name, step, output in _INPUTS:
            shutil.copytree(run.output(step, output), self.input(name), dirs_exist_ok=True)
        for name in (PRE_ANALYSIS_FILE, POST_ANALYSIS_FILE):
            write_json(self.input("bias-evidence") / name, {"version": "1.0"})
        write_explanations(explanations(), self.input("explanations"))
        write_snapshots(Snapshots(training=TRAINING), self.input("explanations"))
        facets = read_manifest(run.output("SnapshotFacets", "manifest"))
        facets = facets.model_copy(update={"sha256": FACETS})
        write_json(self.input("facets-evidence") / "manifest.json", facets.model_dump(mode="json"))
        self.pack({"model.onnx": b"graph", "weights.bin": b"\x80\x04 are floats", "code/a.py": b""})
        verdicts = [read_verdict(run.output(step, "verdict")) for step in _JUDGES]
        artifact = sha256_tree(self.input("artifact"))
        for verdict in verdicts:
            inputs = READ[verdict.gate]
            if verdict.gate == "model-quality":
                inputs = inputs | {"artifact": artifact}
            updated = verdict.model_copy(update={"inputs": inputs})
            write_verdict(updated, self.verdict(verdict.gate))
        device = decide(gate="device", checks=[Check(name="fine", passed=True)], inputs={})
        write_verdict(device, self.verdict("device"))

    def verdict(self, gate: str) -> Path:
        """The folder of a gate's verdict."""
        return self.input(_VERDICTS[gate])

    def read(self, gate: str, **inputs: str | None) -> None:
        """Lets a verdict name other data, or none."""
        verdict = read_verdict(self.verdict(gate))
        updated = {**verdict.inputs, **{name.replace("_", "-"): at for name, at in inputs.items()}}
        changed = {name: digest for name, digest in updated.items() if digest is not None}
        write_verdict(verdict.model_copy(update={"inputs": changed}), self.verdict(gate))

    @property
    def archive(self) -> Path:
        return self.input("artifact") / "model.tar.gz"

    @property
    def registration(self) -> Path:
        return self.root / "processing" / "output" / "registration" / "registration.json"

    def input(self, name: str) -> Path:
        folder = self.root / "processing" / "input" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def pack(self, files: Mapping[str, bytes], *, lock: bool = True) -> None:
        """Writes an artifact of these files and, by default, its compile lock."""
        shutil.rmtree(self._parts, ignore_errors=True)
        for name, content in files.items():
            path = self._parts / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        pack(self._parts, self.archive)
        if lock:
            digests = {
                path.relative_to(self._parts).as_posix(): sha256_file(path)
                for path in walk_files(self._parts)
            }
            updated = {"artifact": digests, "artifact_sha256": sha256_file(self.archive)}
            write_json(self.input("lock") / "compile-lock.json", LOCK | updated)
            self.describe(artifact_sha256=sha256_file(self.archive))

    def describe(self, *, artifact_sha256: str) -> None:
        """Writes the reference of an artifact."""
        reference = Reference(
            rows=20,
            positives=5,
            true_positives=4,
            labels=("no", "yes"),
            threshold=0.5,
            template="{shelf}",
            missing="unknown",
            columns=(ColumnCounts(column="shelf", kind="category", counts=(20, 0)),),
            scores=ColumnCounts(column="score", kind="number", edges=(0.5,), counts=(10, 10, 0, 0)),
            right=(9, 9, 0, 0),
            calibration=(),
            artifact_sha256=artifact_sha256,
            test_sha256=DIGEST,
            columns_sha256=DIGEST,
        )
        write_reference(reference, self.input("quality-evidence"))

    def _copy(self, file: Path, folder: Path) -> None:
        shutil.copyfile(file, folder / file.name)


def execution_arn(id_: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:111122223333:pipeline/acme-dev-loans/execution/{id_}"


def run_register(monkeypatch: pytest.MonkeyPatch, *more: str, registry: str = "sagemaker") -> None:
    arguments = {
        "--registry": registry,
        "--model-package-group": GROUP,
        "--execution-id": "abc123def456",
        "--execution-arn": execution_arn("abc123def456"),
        "--recipe": "loans",
        "--experiment": "loans",
        "--data-uri": PLACEMENT.made_from,
        "--models-uri": PLACEMENT.models_uri,
        "--serving-image": PLACEMENT.serving_image,
        "--signing-key": PLACEMENT.signing_key,
        "--licences": "Apache-2.0,MIT",
        "--definition-sha256": DEFINITION,
        **MONITORING,
    }
    words = [word for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["register", *words, *more])
    register.main()
