"""Target `inf2`: a Neuron graph for each shape, served by torch-neuronx on Inferentia 2."""

from sashiko.serving.targets import CONTAINER
from sashiko.settings.targets import Target

TARGET = Target(
    exporter=CONTAINER / "export_neuron.py",
    backend=CONTAINER / "neuron_backend.py",
    modules=(CONTAINER / "neuron_machine.py",),
    image="serving-inf2",
    compiled_in="serving",
    families=("inf2",),
    instance_type="ml.inf2.xlarge",
    accelerated=True,
    encoders_only=True,
    options=("auto_cast",),
    # Without it a container gets driver 2.10, which cannot load an artifact of this SDK
    # (awslabs/llm-hosting-container #156).
    ami="al2-ami-sagemaker-inference-neuron-2",
    # NeuronCores, two for each chip (AWS Neuron documentation, "Inf2 Architecture").
    cores={
        "ml.inf2.xlarge": 2, "ml.inf2.8xlarge": 2, "ml.inf2.24xlarge": 12, "ml.inf2.48xlarge": 24,
    },
    environment={"NEURON_RT_NUM_CORES": "1"},  # of each worker
)  # fmt: skip
