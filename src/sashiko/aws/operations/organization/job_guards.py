"""How SageMaker's jobs and models start in the project's accounts: in a VPC, isolated, encrypted.

The stacks' guardrails say it of the pipeline's role (`sashiko_cdk/identity/guardrails.py`), and
know each instance and time. These say it of everybody in the account.

Source of the condition keys: "Actions, resources, and condition keys for Amazon SageMaker", Service
Authorization Reference. In 2026 it calls `...KmsKey` deprecated, replaced by `...KmsKeyArn`, and
does not say whether a request still has the older key: a job is denied that has neither.
"""

from typing import Any, Final

from sashiko.aws.operations.organization.policy import Statement, deny
from sashiko.aws.resources.instances import families_with_local_disk

_AUTOML: Final = ("sagemaker:CreateAutoMLJob", "sagemaker:CreateAutoMLJobV2")
_TRAINING: Final = ("sagemaker:CreateHyperParameterTuningJob", "sagemaker:CreateTrainingJob")
_JOBS: Final = ("sagemaker:CreateProcessingJob", *_TRAINING)
_MODEL: Final = "sagemaker:CreateModel"
_TRANSFORM: Final = "sagemaker:CreateTransformJob"
_HOSTED: Final = "sagemaker:CreateEndpointConfig"


def job_guards() -> tuple[Statement, ...]:
    """Returns the statements; each denies a request that lacks the member, too."""
    local_disk = [f"ml.{family}.*" for family in families_with_local_disk()]
    return (
        deny(
            "JobsInAVpc",
            [*_AUTOML, _MODEL, *_JOBS],
            conditions={"Null": {"sagemaker:VpcSubnets": "true"}},
        ),
        # Processing jobs that ask a service are not isolated: they reach the VPC's endpoints alone.
        deny("JobsIsolated", [_MODEL, *_TRAINING], conditions=_off("sagemaker:NetworkIsolation")),
        deny(
            "TrafficEncrypted",
            [*_AUTOML, *_JOBS],
            conditions=_off("sagemaker:InterContainerTrafficEncryption"),
        ),
        deny(
            "OutputsUnderAKey",
            [*_AUTOML, *_JOBS, _TRANSFORM],
            conditions=_without("sagemaker:OutputKmsKey"),
        ),
        # SageMaker refuses a key for instances with disks of their own, which encrypt themselves.
        deny(
            "VolumesUnderAKey",
            [*_JOBS, _TRANSFORM, _HOSTED],
            conditions={
                **_without("sagemaker:VolumeKmsKey"),
                "ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": local_disk},
            },
        ),
    )


def _off(key: str) -> dict[str, Any]:
    return {"BoolIfExists": {key: "false"}}


def _without(key: str) -> dict[str, Any]:
    return {"Null": {key: "true", f"{key}Arn": "true"}}
