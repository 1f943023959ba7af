"""The served version, as a SageMaker Model."""

from collections.abc import Sequence

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.endpoint_spec import EndpointSpec
from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id

__all__ = ["ServedModel"]


class ServedModel(Construct):
    """A model package with the role `inference`, in the VPC and with network isolation.

    SageMaker models are immutable: changed content is a new model with a new name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        spec: EndpointSpec,
        package_arn: str,
        threshold: str,
        subnet_ids: Sequence[str],
        group_id: str,
    ) -> None:
        super().__init__(scope, id)
        container = sagemaker.CfnModel.ContainerDefinitionProperty(
            model_package_name=package_arn,
            environment={"SASHIKO_THRESHOLD": threshold, **spec.environment},
        )
        vpc = sagemaker.CfnModel.VpcConfigProperty(
            subnets=list(subnet_ids), security_group_ids=[group_id]
        )
        self.version = package_arn.rpartition("/")[2]
        self.name = content_id(self, f"{prefix(settings)}-", package_arn, spec.environment, vpc)
        self.model = sagemaker.CfnModel(
            self,
            "Model",
            model_name=self.name,
            execution_role_arn=settings.role_arn("inference"),
            enable_network_isolation=True,
            vpc_config=vpc,
            primary_container=container,
        )
