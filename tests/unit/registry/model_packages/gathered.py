"""What Register gathers of a run, small."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.base.files import sha256_file, walk_files, write_json
from sashiko.bias.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.contract.manifest import MANIFEST_FILE as SNAPSHOT_FILE
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
from sashiko.registry.attestation import Resource, Statement
from sashiko.registry.model_card import CARD_FILE
from sashiko.serving.compile_lock import LOCK_FILE

LOCK: Mapping[str, Any] = {
    "target": "inf2", "image": "huggingface-pytorch-inference-neuronx:2.8.0", "cores": 1,
    "neuron_sdk": "2.26.0", "compiler": "2.21.18209.0", "dtype": "float32",
    "batch_sizes": [1, 32], "sequence_lengths": [32, 64], "tolerance": 1e-4,
    "largest_difference": None, "weights_sha256": "e" * 64, "artifact": {},
    "artifact_sha256": "f" * 64,
}  # fmt: skip
CHECK = Check(
    name="auc", value=0.9, low=0.85, high=0.95, threshold=0.8, comparison=">=", passed=True
)
SNAPSHOT: Mapping[str, Any] = {
    "rows": 1200, "sha256": "d" * 64, "keys_sha256": "k" * 64, "view": "training",
    "contract": {"id": "loans", "version": "2.0.1", "sha256": "c" * 64}, "table": "loans",
    "query": "SELECT 1", "as_of": "2026-11-01", "columns": [],
}  # fmt: skip
CARD: Mapping[str, Any] = {
    "model_overview": {"model_creator": "a\nrecipe"},
    "intended_uses": {
        "purpose_of_model": "loans", "intended_uses": "a queue", "risk_rating": "Low",
        "factors_affecting_model_efficiency": "", "explanations_for_risk_rating": "",
    },
    "business_details": {"business_problem": "", "business_stakeholders": ""},
    "training_details": {
        "training_observations": "",
        "training_job_details": {"training_datasets": [], "user_provided_hyper_parameters": []},
    },
    "evaluation_details": [],
    "additional_information": {
        "ethical_considerations": "", "caveats_and_recommendations": "", "custom_details": {},
    },
}  # fmt: skip


def gather(root: Path) -> Path:
    """Writes a sealed folder below `root`."""
    folder = root / "model"
    folder.mkdir()
    (folder / "model.tar.gz").write_bytes(b"weights")
    reports = (INTERVALS_FILE, PRE_ANALYSIS_FILE, POST_ANALYSIS_FILE)
    for name in ("metrics.json", "reference.json", *reports):
        write_json(folder / name, {"file": name})
    for gate in ("data-quality", "model-quality", "bias"):
        write_verdict(decide(gate=gate, checks=[CHECK], inputs={}), folder / gate)
    write_json(folder / SNAPSHOT_FILE, SNAPSHOT)
    write_json(folder / LOCK_FILE, LOCK)
    write_json(folder / CARD_FILE, CARD)
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    manifest = folder / "manifest-sha256.json"
    manifest.unlink(missing_ok=True)
    digests = {
        path.relative_to(folder).as_posix(): sha256_file(path) for path in walk_files(folder)
    }
    write_json(manifest, digests)


def state(folder: Path, **change: Any) -> None:
    """Writes the statement about a sealed folder, with a change."""
    names = ("model.tar.gz", "manifest-sha256.json")
    digests = {name: {"sha256": sha256_file(folder / name)} for name in names}
    fields: dict[str, Any] = {
        "build": "model", "parameters": {"recipe": "late-loans"}, "dependencies": (),
        "subject": tuple(Resource(name=name, digest=item) for name, item in digests.items()),
        "builder": "urn:sashiko:builder:sagemaker",
    }  # fmt: skip
    (folder / "provenance.json").write_bytes(Statement(**(fields | change)).to_json())
