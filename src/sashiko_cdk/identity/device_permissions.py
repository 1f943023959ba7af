"""Permissions of the device check, and of the janitor that deletes what the check leaves."""

from collections.abc import Sequence
from typing import Any, Final

from sashiko.account.names import device_check_prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow

INVOKE: Final = "sagemaker:InvokeEndpoint"
_NAMES = "Each check has a name of its own; all of them begin so."
_HOSTED = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
_BATCH = (
    "sagemaker:CreateTransformJob",
    "sagemaker:DescribeTransformJob",
    "sagemaker:StopTransformJob",
)


def device_actions(settings: Settings) -> tuple[str, ...]:
    """Returns the SageMaker API actions, without the runtime's, that a check uses."""
    if settings.device_check == "off":
        return ()
    verbs = {
        "Model": ("Create", "Delete"),
        "EndpointConfig": ("Create", "Delete", "Describe"),
        "Endpoint": ("Create", "Delete", "Describe"),
    }
    batch = settings.device_check == "transform"
    if batch:
        # An earlier check by an endpoint may have left an endpoint and its configuration.
        verbs |= {"EndpointConfig": ("Delete",), "Endpoint": ("Delete", "Describe")}
    actions = [f"sagemaker:{verb}{kind}" for kind, each in verbs.items() for verb in each]
    return (*actions, "sagemaker:AddTags", *(_BATCH if batch else ()))


def device_permissions(settings: Settings, targets: Sequence[str] = ()) -> list[Allowed]:
    """Returns the own permissions of the check's role.

    Args:
        settings: the environment.
        targets: the recipes' compile targets, in addition to the installed ones.

    A condition of an Allow fails when the request lacks its key: so a model must state network
    isolation and its VPC, and a configuration its instance types and KMS key. The service
    authorization reference lists these condition keys for each action; a KMS key's has had another
    name since 2026, and either one will do (`job_denials`).
    """
    if settings.device_check == "off":
        return []
    batch = settings.device_check == "transform"
    creating = {"sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", _BATCH[0]}
    plain = [action for action in device_actions(settings) if action not in creating]
    hosted = [_resource(settings, kind) for kind in _HOSTED.values()]
    jobs = [_resource(settings, "transform-job")]
    invoking = [] if batch else [INVOKE]
    return [
        allow([*plain, *invoking], hosted + (jobs if batch else []), why=_NAMES),
        allow(
            ["sagemaker:CreateModel"],
            [_resource(settings, "model")],
            conditions={
                "Bool": {"sagemaker:NetworkIsolation": "true"},
                "Null": {
                    "sagemaker:VpcSecurityGroupIds": "false",
                    "sagemaker:VpcSubnets": "false",
                },
            },
            why=_NAMES,
        ),
        *(
            _under_our_keys("CreateTransformJob", jobs, "OutputKmsKey", settings, targets)
            if batch
            else _under_our_keys(
                "CreateEndpointConfig",
                [_resource(settings, "endpoint-config")],
                "VolumeKmsKey",
                settings,
                targets,
            )
        ),
        allow(
            ["iam:PassRole"],
            [settings.role_arn("inference")],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]


def janitor_permissions(settings: Settings) -> list[Allowed]:
    """Returns the own permissions of the janitor, which deletes the resources of checks."""
    listing = [f"sagemaker:List{kind}s" for kind in _HOSTED]
    return [
        allow(listing, ["*"], why="SageMaker lists what an account has, or nothing."),
        allow(
            ["sagemaker:DescribeEndpoint", *(f"sagemaker:Delete{kind}" for kind in _HOSTED)],
            [_resource(settings, kind) for kind in _HOSTED.values()],
            why=_NAMES,
        ),
    ]


def _under_our_keys(
    action: str, resources: list[str], key: str, settings: Settings, targets: Sequence[str]
) -> list[Allowed]:
    return [
        allow(
            [f"sagemaker:{action}"],
            resources,
            conditions=_instances(settings, targets) | {"ArnLike": {name: _keys(settings)}},
            why=_NAMES,
        )
        for name in (f"sagemaker:{key}", f"sagemaker:{key}Arn")
    ]


def _instances(settings: Settings, targets: Sequence[str]) -> dict[str, Any]:
    serving = settings.serving
    types = {*serving.known_instance_types().values(), *map(serving.instance_type, targets)}
    return {
        "ForAllValues:StringEquals": {"sagemaker:InstanceTypes": sorted(types)},
        "Null": {"sagemaker:InstanceTypes": "false"},
    }


def _keys(settings: Settings) -> str:
    return f"arn:aws:kms:{settings.region}:{settings.account}:key/*"


def _resource(settings: Settings, kind: str) -> str:
    place = f"arn:aws:sagemaker:{settings.region}:{settings.account}"
    return f"{place}:{kind}/{device_check_prefix(settings)}-*"
