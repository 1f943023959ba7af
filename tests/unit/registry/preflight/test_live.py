"""An update that SageMaker would refuse half-way is refused before, with the way round."""

from collections.abc import Callable

import boto3
import pytest

from sashiko.base.custom_resource import RefusedError
from tests.unit.registry.model_packages.account import GROUP, REGION

TARGET = f"endpoint/{GROUP}/variant/primary"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
Serve = Callable[[int], None]


@pytest.fixture
def serve(account):
    """Makes the endpoint that serves: `serve(1)` has an instance of an `ml.c5.xlarge`."""

    def make(instances: int) -> None:
        sagemaker = account.clients.sagemaker
        role = "arn:aws:iam::123456789012:role/inference"
        image = {"Image": "serving:1"}
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=image)
        variant = {
            "VariantName": "primary", "ModelName": "m", "InitialInstanceCount": instances,
            "InstanceType": "ml.c5.xlarge",
        }  # fmt: skip
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=GROUP, EndpointConfigName="c")

    return make


def scale() -> None:
    boto3.client("application-autoscaling", region_name=REGION).register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=TARGET,
        ScalableDimension=DIMENSION,
        MinCapacity=1,
        MaxCapacity=4,
    )


def test_another_instance_type_of_an_endpoint_that_scales_takes_two_deploys(version, serve):
    serve(1)
    assert version.check(instance_type="ml.c5.2xlarge").files  # it does not scale
    scale()
    assert version.check(instance_type="ml.c5.xlarge").files
    with pytest.raises(RefusedError, match=r"scales on ml.c5.xlarge, .*Deploy twice: first"):
        version.check(instance_type="ml.c5.2xlarge")


@pytest.mark.parametrize(
    ("there", "least", "fits"), [(1, "1", True), (1, "2", False), (2, "3", True)]
)
def test_a_canary_wants_two_instances_that_are_there(version, serve, there, least, fits):
    assert version.check(
        min_instances=least, instance_type="ml.c5.xlarge"
    ).files  # no endpoint yet: nothing to send it ahead of
    serve(there)
    if fits:
        assert version.check(min_instances=least, instance_type="ml.c5.xlarge").files
        return
    with pytest.raises(RefusedError, match=f"{GROUP} has 1 instance, .* wait endpoint-in-service"):
        version.check(min_instances=least, instance_type="ml.c5.xlarge")
