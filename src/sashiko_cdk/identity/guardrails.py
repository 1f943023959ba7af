"""How the pipeline may start a job: in the VPC, encrypted, on known instances, for a known time."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_iam as iam

from sashiko.account.instances import families_with_local_disk
from sashiko.account.training_machines import settings_for
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_JOBS = ["sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob"]


def guardrails(settings: Settings, recipes: Sequence[Recipe]) -> list[iam.PolicyStatement]:
    """Returns the denials for whoever creates jobs of an environment that train `recipes`.

    `Bool` does not match a request that lacks its key, so each has a `Null` beside it: an unset
    value is denied like `false`. The service authorization reference lists these condition keys
    for the two actions. In 2026 it calls those of KMS keys deprecated, replaced by `...Arn`, and
    does not say whether a request still has the older ones: each counts under either name.
    """
    jobs = settings.jobs
    trained_on = {settings_for(settings, recipe).jobs.training.instance_type for recipe in recipes}
    types = sorted({jobs.processing.instance_type, jobs.scoring.instance_type, *trained_on})
    longest = max(job.max_runtime for job in (jobs.processing, jobs.scoring, jobs.training))
    local_disk = [f"ml.{family}.*" for family in families_with_local_disk()]
    keys = f"arn:aws:kms:{settings.region}:{settings.account}:key/*"
    return [
        _deny("InTheVpc", _missing("sagemaker:VpcSubnets")),
        _deny("InAGroup", _missing("sagemaker:VpcSecurityGroupIds")),
        _deny(
            "VolumeKeyGiven",
            _missing(*_both("Volume"))
            | {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": local_disk}},
        ),
        # A negated condition holds of a name that the request does not have.
        *(
            _deny(sid, {"ArnNotLike": {name: keys}, "Null": {name: "false"}})
            for sid, name in zip(("VolumeKeyOurs", "VolumeArnOurs"), _both("Volume"), strict=True)
        ),
        _deny("OutputKeyGiven", _missing(*_both("Output"))),
        _deny("OutputKeyOurs", {"ArnNotLike": dict.fromkeys(_both("Output"), keys)}),
        _deny("TrafficSaid", _missing("sagemaker:InterContainerTrafficEncryption")),
        _deny("TrafficEncrypted", {"Bool": {"sagemaker:InterContainerTrafficEncryption": "false"}}),
        _deny(
            "KnownInstances",
            {"ForAnyValue:StringNotEquals": {"sagemaker:InstanceTypes": types}},
        ),
        _deny("EndSaid", _missing("sagemaker:MaxRuntimeInSeconds")),
        _deny(
            "EndsInTime",
            {"NumericGreaterThan": {"sagemaker:MaxRuntimeInSeconds": str(longest)}},
        ),
    ]


def _both(what: str) -> tuple[str, str]:
    return f"sagemaker:{what}KmsKey", f"sagemaker:{what}KmsKeyArn"


def _missing(*keys: str) -> dict[str, Any]:
    return {"Null": dict.fromkeys(keys, "true")}


def _deny(sid: str, conditions: dict[str, Any]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=_JOBS, resources=["*"], conditions=conditions
    )
