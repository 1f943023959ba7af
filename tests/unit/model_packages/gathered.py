"""What Register gathers of a run, small."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.compile_lock import LOCK_FILE
from sashiko.files import sha256_file, walk_files, write_json
from sashiko.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.model_card import CARD_FILE

LOCK: Mapping[str, Any] = {
    "target": "inf2", "image": "huggingface-pytorch-inference-neuronx:2.8.0", "cores": 1,
    "neuron_sdk": "2.26.0", "compiler": "2.21.18209.0", "dtype": "float32",
    "batch_sizes": [1, 32], "sequence_lengths": [32, 64], "tolerance": 1e-4,
    "largest_difference": None, "weights_sha256": "e" * 64, "artifact": {},
    "artifact_sha256": "f" * 64,
}  # fmt: skip


def gather(root: Path) -> Path:
    """Writes a sealed folder below `root`."""
    folder = root / "model"
    folder.mkdir()
    (folder / "model.tar.gz").write_bytes(b"weights")
    for name in ("metrics.json", INTERVALS_FILE, PRE_ANALYSIS_FILE, POST_ANALYSIS_FILE):
        write_json(folder / name, {"file": name})
    for gate in ("data-quality", "model-quality", "bias"):
        write_json(folder / gate / "verdict.json", {"gate": gate})
    write_json(folder / LOCK_FILE, LOCK)
    write_json(folder / CARD_FILE, {"model_overview": {"model_creator": "a\nrecipe"}})
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Writes the manifest of what is there now."""
    manifest = folder / "manifest-sha256.json"
    manifest.unlink(missing_ok=True)
    digests = {
        path.relative_to(folder).as_posix(): sha256_file(path) for path in walk_files(folder)
    }
    write_json(manifest, digests)
