"""Whether the endpoint that is there can become the wanted one by an update, by SageMaker's rules.

Its guide: "Update endpoints that use auto scaling", and `TrafficRoutingConfig` of its API. An
update that breaks one is refused half-way through a deploy; here before it, with the way round.
"""

import json
import shlex
from typing import Any

from botocore.exceptions import ClientError

from sashiko.aws.functions.custom_resource import RefusedError
from sashiko.aws.functions.preflight.expected import Expected

_CANARY_FROM = 2  # instances: a canary is one, and half of the fleet at most


def check_update(sagemaker: Any, scaling: Any, expected: Expected) -> None:
    """Holds the endpoint that is there, if any, against the one that is wanted; it only reads.

    Args:
        sagemaker: the client.
        scaling: the client of Application Auto Scaling.
        expected: what the environment serves.

    Raises:
        RefusedError: with the steps to take first, if one update does not get there.
        ClientError: if an AWS call is refused.
    """
    name = expected.endpoint
    try:
        live = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" not in error.response["Error"]["Message"]:
            raise
        return
    config = sagemaker.describe_endpoint_config(EndpointConfigName=live["EndpointConfigName"])
    (variant,), (made,) = live["ProductionVariants"], config["ProductionVariants"]
    _check_canary(name, variant, expected)
    if made["InstanceType"] != expected.instance_type:
        targets = scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker",
            ResourceIds=[f"endpoint/{name}/variant/{variant['VariantName']}"],
        )["ScalableTargets"]
        if targets:
            raise RefusedError(
                f"{name} scales on {made['InstanceType']}, and SageMaker changes the instance type "
                "of no endpoint that scales. In two deploys: first what serves now, with "
                "`serving.max_instances` as `serving.min_instances`, so that it scales no more; "
                f"then {expected.instance_type} with the `max_instances` that you want"
            )


def _check_canary(name: str, variant: Any, expected: Expected) -> None:
    wanted, count = int(expected.min_instances), variant["DesiredInstanceCount"]
    if wanted >= _CANARY_FROM > count:
        counts = [{"VariantName": variant["VariantName"], "DesiredInstanceCount": wanted}]
        raise RefusedError(
            f"{name} has {count} instance, and with `serving.min_instances: {wanted}` an update "
            "sends a canary ahead, which SageMaker allows in a fleet of two or more. First, and "
            "then deploy again: aws sagemaker update-endpoint-weights-and-capacities "
            f"--endpoint-name {name} --desired-weights-and-capacities "
            f"{shlex.quote(json.dumps(counts))} && aws sagemaker wait endpoint-in-service "
            f"--endpoint-name {name}"
        )
