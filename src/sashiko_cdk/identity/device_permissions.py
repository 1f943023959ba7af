"""What the check on a device may make in SageMaker, and its janitor delete, and nobody else's."""

from typing import Any, Final

from sashiko.aws.resources.names import device_check_prefix
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
    """Returns the actions of SageMaker's API, without its runtime, that a check uses."""
    if settings.device_check == "off":
        return ()
    verbs = {
        "Model": ("Create", "Delete"),
        "EndpointConfig": ("Create", "Delete", "Describe"),
        "Endpoint": ("Create", "Delete", "Describe"),
    }
    batch = settings.device_check == "transform"
    if batch:
        # What an earlier check by an endpoint left is deleted as well.
        verbs |= {"EndpointConfig": ("Delete",), "Endpoint": ("Delete", "Describe")}
    actions = [f"sagemaker:{verb}{kind}" for kind, each in verbs.items() for verb in each]
    return (*actions, "sagemaker:AddTags", *(_BATCH if batch else ()))


def device_permissions(settings: Settings) -> list[Allowed]:
    """Returns what the role of the check may do by itself.

    A condition of an Allow fails where the request lacks its key: a model must say that it is
    isolated and where in the VPC, a configuration which instances and which key. The condition keys
    are those that the service authorization reference lists for each action.
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
        _batch(settings, jobs) if batch else _config(settings),
        allow(
            ["iam:PassRole"],
            [settings.role_arn("inference")],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]


def janitor_permissions(settings: Settings) -> list[Allowed]:
    """Returns what the janitor may do by itself: it deletes what a check has made."""
    listing = [f"sagemaker:List{kind}s" for kind in _HOSTED]
    return [
        allow(listing, ["*"], why="SageMaker lists what an account has, or nothing."),
        allow(
            ["sagemaker:DescribeEndpoint", *(f"sagemaker:Delete{kind}" for kind in _HOSTED)],
            [_resource(settings, kind) for kind in _HOSTED.values()],
            why=_NAMES,
        ),
    ]


def _config(settings: Settings) -> Allowed:
    return allow(
        ["sagemaker:CreateEndpointConfig"],
        [_resource(settings, "endpoint-config")],
        conditions=_instances(settings) | {"ArnLike": {"sagemaker:VolumeKmsKey": _keys(settings)}},
        why=_NAMES,
    )


def _batch(settings: Settings, jobs: list[str]) -> Allowed:
    return allow(
        ["sagemaker:CreateTransformJob"],
        jobs,
        conditions=_instances(settings) | {"ArnLike": {"sagemaker:OutputKmsKey": _keys(settings)}},
        why=_NAMES,
    )


def _instances(settings: Settings) -> dict[str, Any]:
    types = sorted(instance for _, instance in settings.serving.instance_types)
    return {
        "ForAllValues:StringEquals": {"sagemaker:InstanceTypes": types},
        "Null": {"sagemaker:InstanceTypes": "false"},
    }


def _keys(settings: Settings) -> str:
    return f"arn:aws:kms:{settings.region}:{settings.account}:key/*"


def _resource(settings: Settings, kind: str) -> str:
    place = f"arn:aws:sagemaker:{settings.region}:{settings.account}"
    return f"{place}:{kind}/{device_check_prefix(settings)}-*"
