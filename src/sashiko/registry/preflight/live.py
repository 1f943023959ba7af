"""Checks that SageMaker can update the current endpoint to the expected one.

Its guide: "Update endpoints that use auto scaling", and `TrafficRoutingConfig` of its API. An
update that violates a rule fails during a deploy; this check refuses it earlier, with a workaround.
"""

import json
import shlex
from typing import Any

from botocore.exceptions import ClientError

from sashiko.base.custom_resource import RefusedError
from sashiko.registry.preflight.expected import Expected

_CANARY_FROM = 2  # instances: a canary is one, and half of the fleet at most


def check_update(sagemaker: Any, scaling: Any, expected: Expected) -> None:
    """Compares the current endpoint, if any, with the expected one; it only reads.

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
    (variant,), (current,) = live["ProductionVariants"], config["ProductionVariants"]
    _check_canary(name, variant, expected)
    if current["InstanceType"] != expected.instance_type:
        targets = scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker",
            ResourceIds=[f"endpoint/{name}/variant/{variant['VariantName']}"],
        )["ScalableTargets"]
        if targets:
            raise RefusedError(
                f"{name} scales on {current['InstanceType']}, and SageMaker cannot change the "
                "instance type of an endpoint that scales. Deploy twice: first the current version "
                "with `serving.max_instances` equal to `serving.min_instances`, which turns "
                f"scaling off; then {expected.instance_type} with the final `max_instances`"
            )


def _check_canary(name: str, variant: Any, expected: Expected) -> None:
    minimum, count = int(expected.min_instances), variant["DesiredInstanceCount"]
    if minimum >= _CANARY_FROM > count:
        counts = [{"VariantName": variant["VariantName"], "DesiredInstanceCount": minimum}]
        raise RefusedError(
            f"{name} has {count} instance, and with `serving.min_instances: {minimum}` an update "
            "sends a canary ahead, which SageMaker allows in a fleet of two or more. First, and "
            "then deploy again: aws sagemaker update-endpoint-weights-and-capacities "
            f"--endpoint-name {name} --desired-weights-and-capacities "
            f"{shlex.quote(json.dumps(counts))} && aws sagemaker wait endpoint-in-service "
            f"--endpoint-name {name}"
        )
