"""Where the jobs and endpoint containers of an environment run."""

from dataclasses import dataclass

from constructs import IConstruct

from sashiko.settings.environment import Settings
from sashiko_cdk.security_rules.acknowledge import acknowledge

__all__ = ["JobNetwork", "acknowledge_network", "existing_network"]


@dataclass(frozen=True, kw_only=True)
class JobNetwork:
    """Subnets and security groups of jobs and endpoint containers."""

    subnet_ids: tuple[str, ...]  # in the order of the settings' zones, or of its subnets
    group_ids: tuple[str, ...]  # of the security groups of each
    nodes_group_id: str | None  # of the one that the several nodes of a job are in too, if any


def existing_network(settings: Settings) -> JobNetwork | None:
    """Returns the existing network of an environment; None if something has to be made for it."""
    network = settings.network
    if network.endpoints == "ours" or not network.security_groups:
        return None
    subnet_ids = tuple(subnet.id for subnet in network.subnets)
    groups = network.security_groups
    return JobNetwork(subnet_ids=subnet_ids, group_ids=groups, nodes_group_id=None)


def acknowledge_network(resource: IConstruct, settings: Settings) -> None:
    """Says at a resource in an existing network what these templates cannot limit."""
    network = settings.network
    if network.vpc_id:
        endpoints = "" if network.endpoints == "ours" else ", endpoints and who may call by them"
        why = (
            f"The team of {network.owner or settings.account} answers for {network.vpc_id}: its "
            f"routes, flow logs{endpoints}. `sashiko env doctor` checks them."
        )
        acknowledge(resource, {"foreign-network": why})
