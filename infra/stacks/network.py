"""The VPC that jobs and endpoints run in: no way to the internet, doors to AWS alone."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.network.isolated_network import add_network
from sashiko_cdk.stack import EnvironmentStack


class Network(EnvironmentStack):
    """A VPC of isolated subnets, the endpoints, and the security groups of jobs and endpoints.

    Attributes:
        subnet_ids: of the jobs' subnets, in the order of the settings' zones.
        jobs_group_id: of the jobs' security group.
        nodes_group_id: of the group of a job's several nodes; None if no job has several.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the network.

        Raises:
            InputError: if the settings lack S3's prefix list of the region.
        """
        super().__init__(
            scope,
            "Network",
            deployment,
            stateful=False,
            description="The VPC without internet, its endpoints and flow logs",
        )
        several_nodes = deployment.settings.jobs.scoring.instance_count > 1 or any(
            recipe.train.distributed.nodes > 1 for recipe in deployment.recipes
        )
        network = add_network(self, several_nodes=several_nodes)
        self.subnet_ids = network.subnet_ids
        self.jobs_group_id = network.jobs_group_id
        self.nodes_group_id = network.nodes_group_id
