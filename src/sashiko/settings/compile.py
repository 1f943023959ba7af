"""The recipe's sections `compile` and `device`: the artifact, and its check where it is served."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.types import Dtype, TargetName

LONGEST_ROW = 512  # tokens, special ones and a causal LM's prompt included


class CompileSection(Frozen):
    """The artifact that will be served."""

    target: TargetName = Field(
        "cpu",
        description="cpu: ONNX; inf2: Neuron on Inferentia 2; gpu: torch on an NVIDIA GPU; or the "
        "project's own as package.module:attribute",
    )
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((1, 32), min_length=1)
    sequence_lengths: tuple[Annotated[int, Field(ge=8, le=LONGEST_ROW)], ...] = Field(
        (32, 64), min_length=1, description="tokens"
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="with cpu; int8 multiplies 8-bit integers and requires batch_sizes [1]",
    )
    dtype: Dtype = Field(
        "float32",
        description="of a causal LM's weights as they are judged and served; merged in float32, "
        "then cast once",
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference of a probability from the trained model's; the default for "
        "int8 is 0.2, and for bfloat16 0.1",
    )
    auto_cast: Literal["none", "matmul", "all"] = Field(
        "none", description="with inf2: the operations that its compiler casts to bfloat16"
    )

    @property
    def rounded(self) -> str | None:
        """The type that the model is served in, if that is not float32, in which it is trained."""
        if self.quantization != "none":
            return self.quantization
        return None if self.dtype == "float32" else self.dtype

    @model_validator(mode="before")
    @classmethod
    def _default_tolerance(cls, section: Any) -> Any:
        if not isinstance(section, Mapping):
            return section
        if section.get("quantization") == "int8":
            return {"tolerance": 0.2, **section}
        return {"tolerance": 0.1, **section} if section.get("dtype") == "bfloat16" else section

    @model_validator(mode="after")
    def _check_int8_batches(self) -> "CompileSection":
        if self.quantization == "int8" and self.batch_sizes != (1,):
            raise ValueError(
                "`quantization: int8` takes `batch_sizes: [1]`: the rows of a batch share a "
                "scale, so each row would change the scores of the others"
            )
        return self


class DeviceSection(Frozen):
    """The device gate: allowed differences between a deployed artifact and the judged predictions.

    Latency is measured by one caller in the VPC that sends single-row requests sequentially.
    """

    rows: int = Field(200, ge=20, le=2000, description="rows of the test split to send")
    seed: int = Field(0, description="of the sample of these rows")
    minimum_agreement: float = Field(0.99, gt=0, le=1, description="share of labels that are equal")
    maximum_difference: float = Field(
        0.02, gt=0, lt=1, description="largest difference of a probability"
    )
    maximum_p50_ms: float = Field(100, gt=0, description="median latency, milliseconds")
    maximum_p99_ms: float = Field(500, gt=0, description="99th percentile, milliseconds")
