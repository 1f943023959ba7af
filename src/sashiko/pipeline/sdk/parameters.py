"""The pipeline's parameters: in an account all but the data's version have a default."""

from dataclasses import dataclass

from sagemaker.core.workflow.parameters import ParameterString

from sashiko.account import deploy_time
from sashiko.account.names import lake_uri
from sashiko.pipeline.definition.definition_records import PARAMETER
from sashiko.settings.environment import Settings

__all__ = ["Parameters", "parameters"]


@dataclass(frozen=True)
class Parameters:
    """The pipeline's parameters."""

    lake_uri: ParameterString  # location of the lake; its scheme selects the engine
    as_of: ParameterString  # the version of the table's data
    registry: ParameterString  # which kind of registry
    tracking_uri: ParameterString  # of MLflow
    run_manifest_uri: ParameterString  # S3 URI of the run manifest, which names the commit
    definition_sha256: ParameterString  # digest of the definition, for the model's provenance

    def all(self) -> list[ParameterString]:
        """Returns them in the order of the definition."""
        return list(vars(self).values())


def parameters(settings: Settings, *, run_manifest_uri: str) -> Parameters:
    """Declares the parameters of an environment.

    `local` has no defaults: `sashiko run` passes every value. `run_manifest_uri` is where
    `sashiko env stage` puts the current commit's run manifest.
    """
    local = settings.tier == "local"

    def declare(name: str, default: str, allowed: list[str] | None = None) -> ParameterString:
        value = None if local else default
        return ParameterString(name, default_value=value, enum_values=allowed)

    return Parameters(
        lake_uri=declare("LakeUri", lake_uri(settings)),
        as_of=ParameterString("AsOf"),
        registry=declare("ModelRegistry", "sagemaker", ["mlflow", "sagemaker"]),
        tracking_uri=declare("MlflowTrackingUri", deploy_time.tracking_uri()),
        run_manifest_uri=declare("RunManifestUri", run_manifest_uri),
        # `sashiko.pipeline.sdk` computes the value when the definition is complete.
        definition_sha256=declare(PARAMETER, "0" * 64),
    )
