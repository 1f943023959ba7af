"""A finding that is meant: on the one resource it is about, with the reason."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct

PLUGIN = "sashiko"


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Says why findings on one resource stand.

    Args:
        construct: the resource, or the construct whose main resource it is.
        reasons: id of the finding -> the reason. cdk-nag's ids begin with a capital, and need no
            pack (`IAM5[Resource::*]`, `S1`); ours do not (`wildcard[Action::s3:*]`);
            those of CDK's own check are written whole (`CloudFormation-Validate::W3010`).
    """
    resource = construct if CfnResource.is_cfn_resource(construct) else construct.node.default_child
    if resource is None:
        raise ValueError(f"{construct.node.path} has no main resource: acknowledge on the resource")
    Validations.of(resource).acknowledge(
        *(Acknowledgment(id=_full(id_), reason=reason) for id_, reason in reasons.items())
    )


def _full(id_: str) -> str:
    if id_.startswith("CloudFormation-Validate::"):
        return id_
    return f"AwsSolutions::AwsSolutions-{id_}" if id_[0].isupper() else f"{PLUGIN}::{id_}"
