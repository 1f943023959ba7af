"""Target `cpu`: an ONNX graph, served by ONNX Runtime."""

from sashiko.serving.targets import CONTAINER
from sashiko.settings.targets import Target

TARGET = Target(
    exporter=CONTAINER / "export_onnx.py",
    backend=CONTAINER / "onnx_backend.py",
    image="serving-cpu",  # x86-64; its torch is too old for the exporter: the job image compiles
    families=(
        "c4", "c5", "c5d", "c6i", "c6in", "c7i", "m4", "m5", "m5d", "m6i", "m7i", "r5", "r5d",
        "r6i", "r7i", "t2",
    ),
    instance_type="ml.c6i.xlarge",
    options=("quantization",),
    serves_linear=True,
)  # fmt: skip
