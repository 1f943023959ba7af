"""Acknowledges a finding on one resource, with the reason."""

from collections.abc import Mapping
from typing import cast

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct

__all__ = ["acknowledge"]

PLUGIN = "sashiko"
NIST = "NIST.800.53.R5"
_CHECKOV = "CKV"


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Acknowledges findings on one resource, with the reason for each.

    Args:
        construct: the resource, or the construct whose main resource it is.
        reasons: id of the finding -> the reason. cdk-nag's ids begin with a capital, and need no
            pack (`IAM5[Resource::*]`, `S1`); this project's do not (`wildcard[Action::s3:*]`);
            those of CDK's own check are written in full (`CloudFormation-Validate::W3010`). Only
            `make security-report` runs the NIST pack (`NIST-S3DefaultEncryptionKMS`) and checkov
            (`CKV_AWS_18`).
    """
    resource = construct if CfnResource.is_cfn_resource(construct) else construct.node.default_child
    if resource is None:
        raise ValueError(f"{construct.node.path} has no main resource: acknowledge on the resource")
    checkov = {id_: why for id_, why in reasons.items() if id_.startswith(_CHECKOV)}
    Validations.of(resource).acknowledge(
        *(
            Acknowledgment(id=_full(id_), reason=why)
            for id_, why in reasons.items()
            if id_ not in checkov
        )
    )
    if checkov:  # it reads the template's metadata
        of_template = cast(CfnResource, resource)
        skipped = (of_template.get_metadata("checkov") or {}).get("skip", [])
        skipped += [{"id": id_, "comment": why} for id_, why in checkov.items()]
        of_template.add_metadata("checkov", {"skip": skipped})


def _full(id_: str) -> str:
    if id_.startswith("CloudFormation-Validate::"):
        return id_
    if id_.startswith("NIST-"):
        return f"{NIST}::{NIST}-{id_.removeprefix('NIST-')}"
    return f"AwsSolutions::AwsSolutions-{id_}" if id_[0].isupper() else f"{PLUGIN}::{id_}"
