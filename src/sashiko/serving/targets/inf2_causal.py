"""Target `inf2-causal`: a causal LM in bfloat16, compiled by optimum-neuron for Inferentia 2."""

from dataclasses import replace

from sashiko.serving.targets import CONTAINER
from sashiko.serving.targets.inf2 import TARGET as ENCODERS

TARGET = replace(
    ENCODERS,
    exporter=CONTAINER / "export_neuron_causal.py",
    backend=CONTAINER / "neuron_causal_backend.py",
    encoders_only=False,
    causal_only=True,
    dtypes=("bfloat16",),
    options=(),
)
