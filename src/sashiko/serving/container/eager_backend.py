"""Backend of target gpu, and of accelerators' artifacts on a CPU: the model itself, in torch."""

from pathlib import Path

import torch
from backend import CannotServeError, Ids, Machine, Scores, Values
from bundle import EAGER_FOLDER, Bucket, Bundle
from classifier import load_classifier


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "EagerBackend":  # noqa: ARG001 - the same arguments for each target
    """Opens the model of an artifact on a GPU: see `backend.open_backend`."""
    return EagerBackend(folder / EAGER_FOLDER, device=f"cuda:{machine.gpu}")


class EagerBackend:
    """Runs a Hugging Face model with torch."""

    def __init__(self, folder: Path, *, device: str) -> None:
        """Loads the model.

        Args:
            folder: config.json and model.safetensors.
            device: torch's device name, such as `cuda:0`.

        Raises:
            CannotServeError: if the device does not exist.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise CannotServeError(
                "the artifact is compiled for gpu, and torch finds no CUDA device here: serve it "
                "on an instance with an NVIDIA GPU, or compile for cpu (compile.target)"
            )
        self._device = torch.device(device)
        self._model = load_classifier(folder, as_stored=True).to(self._device)

    def run(self, bucket: Bucket, ids: Ids, mask: "Ids | Values") -> Scores:  # noqa: ARG002  any shape
        """Scores one full bucket: see `backend.Backend`."""
        with torch.inference_mode():
            scores = self._model(
                torch.from_numpy(ids).to(self._device), torch.from_numpy(mask).to(self._device)
            )
        probabilities: Scores = scores.cpu().numpy()
        return probabilities
