"""The values that a pipeline's definition gets at deploy time."""

from collections.abc import Mapping, Sequence

from sashiko.account import deploy_time
from sashiko.account.names import KeyDomain
from sashiko.settings.environment import Settings

__all__ = ["deploy_values"]


def deploy_values(
    settings: Settings,
    *,
    subnet_ids: Sequence[str],
    security_group_id: str,
    nodes_group_id: str | None = None,
    key_arns: Mapping[KeyDomain, str],
    tracking_arn: str,
) -> Mapping[str, str]:
    """Returns stand-in in a definition -> its value at deploy time.

    Args:
        settings: the environment.
        subnet_ids: where jobs run, in the order of the settings' zones.
        security_group_id: of the jobs.
        nodes_group_id: of the nodes of one job, where a job has several.
        key_arns: domain -> ARN of the KMS key that jobs encrypt with.
        tracking_arn: of the MLflow App.
    """
    subnets = zip(deploy_time.subnet_ids(settings), subnet_ids, strict=True)
    nodes = {deploy_time.nodes_group_id(): nodes_group_id} if nodes_group_id else {}
    return {
        **dict(subnets),
        **nodes,
        **{deploy_time.key_arn(domain): arn for domain, arn in key_arns.items()},
        deploy_time.security_group_id(): security_group_id,
        deploy_time.tracking_uri(): tracking_arn,
    }
