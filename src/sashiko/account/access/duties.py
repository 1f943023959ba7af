"""Separation of duties: access to objects, to the model registry, and to other roles."""

from collections.abc import Iterator
from dataclasses import dataclass

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.principals import Principal

_STATUS = "sagemaker:ModelApprovalStatus"


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Which objects of a bucket a role reads and writes, as patterns of keys."""

    principal: str
    bucket: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Duties:
    """The roles that register and approve models, and the roles that can act as others."""

    registers: tuple[str, ...]  # the roles that can create a model package
    # The roles that can approve one, or create one that is approved already.
    approves: tuple[str, ...]
    assumes: tuple[tuple[str, str], ...]  # pairs of a role and another one that it can assume
    # Pairs of a role and another one that it can pass to a service's job.
    passes: tuple[tuple[str, str], ...]


def object_access(environment: Environment) -> tuple[Objects, ...]:
    """Returns which roles read and write objects in the environment's buckets."""
    objects = (
        Objects(
            principal=principal.name,
            bucket=bucket,
            reads=environment.object_paths(principal, "s3:GetObject", bucket),
            writes=environment.object_paths(principal, "s3:PutObject", bucket),
        )
        for bucket in sorted(environment.buckets)
        for principal in environment.principals
    )
    return tuple(item for item in objects if item.reads or item.writes)


def duties(environment: Environment) -> Duties:
    """Returns the roles that register and approve, and those that can act as others."""
    roles = environment.principals
    return Duties(
        registers=tuple(role.name for role in roles if _registers(role, environment)),
        approves=tuple(role.name for role in roles if _approves(role, environment)),
        assumes=tuple(_pairs(environment, "sts:AssumeRole")),
        passes=tuple(_pairs(environment, "iam:PassRole")),
    )


def _registers(role: Principal, environment: Environment) -> bool:
    packages = environment.arn("sagemaker", "model-package*")
    return role.may("sagemaker:CreateModelPackage", packages)


def _approves(role: Principal, environment: Environment) -> bool:
    packages = environment.arn("sagemaker", "model-package*")
    approved = {_STATUS: "Approved"}
    return any(
        role.may(f"sagemaker:{action}", packages, approved)
        for action in ("CreateModelPackage", "UpdateModelPackage")
    )


def _pairs(environment: Environment, action: str) -> Iterator[tuple[str, str]]:
    root = f"arn:{environment.templates.partition}:iam::{environment.templates.account}:root"
    for role in environment.principals:
        for other in environment.principals:
            if role is other:
                continue
            if action == "sts:AssumeRole":
                trust = [item for item in other.trust if item.effect == "Allow"]
                trusted = any(item.is_for(role.arn) for item in trust)
                delegated = any(item.is_for(root) for item in trust)
                possible = trusted or (delegated and role.may(action, other.arn))
            else:
                possible = role.may(action, other.arn)
            if possible:
                yield role.name, other.name
