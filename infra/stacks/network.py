"""The VPC that jobs and endpoints run in: ours, without a way out, or what we make in another."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.network.isolated_network import add_network
from sashiko_cdk.stack import EnvironmentStack


class Network(EnvironmentStack):
    """A VPC of isolated subnets, the endpoints, and the security groups of jobs and endpoints.

    In an existing VPC it is the stack VpcAccess, with the endpoints and groups alone: a change
    between the two ways makes one beside the other, since EC2 keeps subnets and groups while an
    endpoint has interfaces in them, until Serving is deployed.

    Attributes:
        jobs: where jobs run.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the network.

        Raises:
            InputError: if the settings lack S3's prefix list of the region.
        """
        existing = deployment.settings.network.vpc_id is not None
        super().__init__(
            scope,
            "VpcAccess" if existing else "Network",
            deployment,
            stateful=False,
            description="The endpoints and security groups in an existing VPC"
            if existing
            else "The VPC without internet, its endpoints and flow logs",
        )
        self.jobs = add_network(self, definitions=[one.definition for one in deployment.pipelines])
