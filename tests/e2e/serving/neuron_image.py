"""What AWS's Neuron image has and this machine lacks: packages, a compiler, a runtime, a device.

The compiler and the runtime are stand-ins that are as strict about shapes as the real ones:
torch.export refuses every other shape, where a torch.jit trace would take it. All else is the code
that runs in the image.
"""

import sys
import types
from pathlib import Path

import neuron_machine
import torch

COMPILER = "2.21.18209.0"
PACKAGES = {
    "neuronx-cc": f"{COMPILER}+043b1bf7",
    "optimum-neuron": "0.4.1",
    "torch-neuronx": "2.8.0.2.10.13553",
}
ORDER = ("input_ids", "attention_mask", "token_type_ids")


class Traced(torch.nn.Module):
    """What optimum-neuron traces: a classifier that takes a tuple and gives one."""

    def __init__(self, classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, *inputs):
        named = dict(zip(ORDER, inputs, strict=True))
        return (self.classifier(**named).logits,)


def compiles(classifier, bucket, path, *, auto_cast):
    """Stands in for `export_neuron.compile_graph`."""
    sample = tuple(torch.ones(bucket.batch, bucket.length, dtype=torch.long) for _ in ORDER)
    with path.open("wb") as file:
        torch.export.save(torch.export.export(Traced(classifier), sample), file)
    return ORDER


def loads(path):
    """Stands in for `torch.jit.load`, once `torch_neuronx` is imported."""
    with Path(path).open("rb") as file:
        return torch.export.load(file).module()


def install(monkeypatch, folder: Path, *, devices: int = 1, **versions: str) -> None:
    """Makes this machine look like the image on an Inferentia instance of that many chips.

    The folder is empty; `versions` of packages, instead of the image's, are written with `_`.
    """
    for name, default in PACKAGES.items():
        version = versions.get(name.replace("-", "_"), default)
        metadata = folder / "site" / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(folder / "site")
    (folder / "dev").mkdir()
    for number in range(devices):
        (folder / "dev" / f"neuron{number}").touch()
    (folder / "dev" / "neuron_monitor").touch()
    monkeypatch.setattr(neuron_machine, "_DEVICES", folder / "dev")
    monkeypatch.setitem(sys.modules, "torch_neuronx", types.ModuleType("torch_neuronx"))
    monkeypatch.setattr(torch.jit, "load", loads)
    for name in (
        "NEURON_RT_NUM_CORES",
        "NEURON_RT_VISIBLE_CORES",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
    ):
        monkeypatch.delenv(name, raising=False)


def install_modules(monkeypatch, contents):
    """Lets modules of these names be imported, with what is in them."""
    for name, content in contents.items():
        module = types.ModuleType(name)
        module.__path__ = []
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
