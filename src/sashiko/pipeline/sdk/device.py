"""DeviceCheck: runs the artifact on its serving device before it is registered."""

from collections.abc import Mapping, Sequence

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account import deploy_time
from sashiko.account.endpoint_spec import endpoint_spec
from sashiko.account.names import device_check_prefix
from sashiko.pipeline.sdk.jobs import Jobs, Uri, join_uri
from sashiko.pipeline.sdk.network_and_keys import volume_key

__all__ = ["device_check"]

_NAME = "DeviceCheck"


def device_check(jobs: Jobs, *, evidence: Mapping[str, Uri]) -> ProcessingStep:
    """Creates the step for the environment's `device_check`; `local` uses this machine.

    `evidence` has input name -> S3 URI; `artifact` is the folder of the `model.tar.gz`.
    """
    settings = jobs.settings
    local = settings.tier == "local"
    backend = "local" if local and settings.device_check != "off" else settings.device_check
    arguments: list[Uri] = ["--backend", backend]
    if backend in ("endpoint", "transform"):
        arguments += _hosted(jobs, artifact=evidence["artifact"])
    return jobs.processing(
        _NAME,
        role="device-check",
        module="sashiko.steps.device_check",
        config=("device", "waivers"),
        arguments=arguments,
        # The step calls AWS; SageMaker does not document the region in a Processing environment.
        environment={"AWS_REGION": settings.region},
        inputs=evidence,
        outputs=("verdict", "verdicts"),
        isolated=False,
        cached=False,
    )


def _hosted(jobs: Jobs, *, artifact: Uri) -> Sequence[Uri]:
    """Returns the serving stack's endpoint spec as arguments of at most 256 characters each."""
    settings = jobs.settings
    spec = endpoint_spec(settings, jobs.recipe.compile.target)
    key = deploy_time.key_arn("ml")
    # An endpoint accepts a volume key for instances with local disks; a batch job refuses it.
    batch = settings.device_check == "transform"
    volume = volume_key(settings, spec.instance_type) if batch else key
    return [
        "--name", device_check_prefix(settings),
        "--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID,
        "--model-data", join_uri(artifact, "model.tar.gz"),
        "--image", spec.image.uri,
        "--instance-type", spec.instance_type,
        *(["--inference-ami", spec.ami] if spec.ami else []),
        "--startup-timeout", str(spec.startup_timeout),
        "--download-timeout", str(spec.download_timeout),
        *_each("--setting", [f"{name}={value}" for name, value in spec.environment.items()]),
        "--role", settings.role_arn("inference"),
        *_each("--subnet", deploy_time.subnet_ids(settings)),
        *_each("--security-group", deploy_time.security_group_ids(settings)),
        *(["--volume-key", volume] if volume else []),
        *_each("--tag", [f"project={settings.project}", f"environment={settings.environment}"]),
        *(["--output-key", key] if batch else []),
        *(["--scratch", jobs.execution_uri(_NAME, "transform")] if batch else []),
    ]  # fmt: skip


def _each(flag: str, values: Sequence[str]) -> Sequence[str]:
    return [word for value in values for word in (flag, value)]
