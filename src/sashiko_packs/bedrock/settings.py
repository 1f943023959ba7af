"""The settings of Amazon Bedrock."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from sashiko.account.names import PackName, prefix
from sashiko.base.yaml_models import Frozen
from sashiko.settings.environment import Settings

IMPORT_ROLE: Final = PackName("bedrock-import")
KEY: Final = PackName("bedrock")
# Folder of the artifacts bucket for the models that Bedrock imports, each named by its content.
IMPORTS: Final = "bedrock"
# What begins the id of a profile that answers in other regions too ("Supported Regions and models
# for inference profiles", Amazon Bedrock User Guide).
_GEOGRAPHIES: Final = frozenset({"apac", "au", "ca", "eu", "global", "jp", "sa", "us", "us-gov"})


def _check_in_region(model: str) -> str:
    geography, _, rest = model.partition(".")
    if geography in _GEOGRAPHIES:
        raise ValueError(
            f"{model} is a profile that sends prompts to other regions ({geography}), which the "
            f"boundary of the roles refuses: name the model itself, {rest}"
        )
    return model


def _check_distinct(models: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(models)) < len(models):
        raise ValueError("a model is named twice")
    return models


FoundationModel = Annotated[
    str,
    Field(pattern=r"^[a-z0-9-]+\.[a-zA-Z0-9.:-]+$", max_length=140),
    AfterValidator(_check_in_region),
]


class BedrockSection(Frozen):
    """Approved causal LMs on Amazon Bedrock, behind a guardrail.

    Attributes:
        enabled: whether the stack `Bedrock` is deployed; `sashiko model bedrock import` needs it.
        models: ids of foundation models that people may ask beside imported ones. They answer in
            the environment's region: a profile that leaves it is refused.
    """

    enabled: bool
    models: Annotated[tuple[FoundationModel, ...], AfterValidator(_check_distinct)]


def guardrail_name(settings: Settings) -> str:
    """Names the guardrail that imported models are invoked through."""
    return f"{prefix(settings)}-models"
