"""An inference profile for each foundation model in use, by whose tags it is billed."""

import re
from collections.abc import Sequence

from aws_cdk import aws_bedrock as bedrock
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_packs.bedrock.settings import BedrockSection

__all__ = ["ModelProfiles"]

_LONGEST_NAME = 64  # characters, CreateInferenceProfile


class ModelProfiles(Construct):
    """Application inference profiles of models in the environment's own region.

    Attributes:
        arns: of the profiles, in the order of `bedrock.models`; what a request names as its model.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        """Makes a profile for each model of the settings."""
        super().__init__(scope, id)
        place = f"arn:aws:bedrock:{settings.region}::foundation-model"
        source = bedrock.CfnApplicationInferenceProfile.InferenceProfileModelSourceProperty
        self.arns: Sequence[str] = [
            bedrock.CfnApplicationInferenceProfile(
                self,
                model,
                inference_profile_name=_name(settings, model),
                description=f"{prefix(settings)}: {model}",
                model_source=source(copy_from=f"{place}/{model}"),
            ).attr_inference_profile_arn
            for model in settings.section(BedrockSection).models
        ]


def _name(settings: Settings, model: str) -> str:
    words = re.sub(r"[^0-9a-zA-Z]+", "-", model)
    return f"{prefix(settings)}-{words}"[:_LONGEST_NAME].rstrip("-")
