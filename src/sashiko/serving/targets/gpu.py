"""Target `gpu`: the trained model, served by torch on an NVIDIA GPU."""

from sashiko.serving.targets import CONTAINER
from sashiko.settings.targets import Target

TARGET = Target(
    exporter=CONTAINER / "export_eager.py",
    backend=CONTAINER / "eager_backend.py",
    image="serving-gpu",
    compiled_in="serving",
    # The image's CUDA 12.4 does not support Blackwell (g7, p6) or Kepler (p2).
    families=("g4dn", "g5", "g6", "g6e", "p3", "p4d", "p4de", "p5", "p5e", "p5en"),
    instance_type="ml.g5.xlarge",
    accelerated=True,
    dtypes=("float32", "bfloat16"),
    # Driver 550, which has CUDA 12.4 (ProductionVariant.InferenceAmiVersion of SageMaker's API).
    ami="al2-ami-sagemaker-inference-gpu-3-1",
    utilization=("GPUUtilization", "GPUMemoryUtilization", "MemoryUtilization", "DiskUtilization"),
)
