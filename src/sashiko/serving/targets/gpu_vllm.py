"""Target `gpu-vllm`: a causal LM in bfloat16, served by vLLM on an NVIDIA GPU."""

from sashiko.serving.targets import CONTAINER
from sashiko.settings.targets import Target

TARGET = Target(
    exporter=CONTAINER / "export_vllm.py",
    backend=CONTAINER / "vllm_backend.py",
    modules=(CONTAINER / "vllm_handler.py",),
    image="serving-gpu-vllm",
    # bfloat16 needs compute capability 8.0, so not g4dn; the image's CUDA 13 has dropped p3.
    families=("g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en"),
    instance_type="ml.g5.xlarge",
    accelerated=True,
    causal_only=True,
    dtypes=("bfloat16",),
    # Driver 580, which has CUDA 13.0 (ProductionVariant.InferenceAmiVersion of SageMaker's API).
    ami="al2023-ami-sagemaker-inference-gpu-4-1",
    environment={
        # Each SM_VLLM_<OPTION> is an option of vLLM's server, and `true` one without a value (AWS
        # Deep Learning Containers, "vLLM: Configuration").
        "SM_VLLM_MODEL": "/opt/ml/model/eager",
        "SM_VLLM_RUNNER": "pooling",
        "SM_VLLM_CONVERT": "classify",
        "SM_VLLM_DTYPE": "bfloat16",  # `auto` would choose by itself
        "SM_VLLM_MAX_MODEL_LEN": "512",  # the most that compile.sequence_lengths takes
        "SM_VLLM_SKIP_TOKENIZER_INIT": "true",  # prompts are token ids
        "CUSTOM_SCRIPT_FILENAME": "code/vllm_handler.py",
        "CUSTOM_FASTAPI_INVOCATION_HANDLER": "model:invoke",
        "HF_HUB_OFFLINE": "1",  # the container has no network
        "VLLM_NO_USAGE_STATS": "1",
    },
    utilization=("GPUUtilization", "GPUMemoryUtilization", "MemoryUtilization", "DiskUtilization"),
)
