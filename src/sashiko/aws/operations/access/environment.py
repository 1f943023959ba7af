"""An environment as its templates describe it: roles, governance, bucket policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sashiko.aws.operations.access.governance import Governance
from sashiko.aws.operations.access.governance_templates import read_governance
from sashiko.aws.operations.access.policies import (
    Statement,
    allows,
    covers,
    denies,
    overlap,
    statements,
)
from sashiko.aws.operations.access.principals import Principal, read_principals
from sashiko.aws.operations.templates import CDK_OUT, Templates, read_templates
from sashiko.settings.environment import Settings


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What decides who may do what in an environment.

    Attributes:
        settings: the environment.
        templates: its templates.
        principals: its roles, by name.
        governance: its lake.
        buckets: bucket -> the statements of its policy.
    """

    settings: Settings
    templates: Templates
    principals: tuple[Principal, ...]
    governance: Governance
    buckets: Mapping[str, tuple[Statement, ...]]

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of something in the environment's account and region."""
        of = self.templates
        return f"arn:{of.partition}:{service}:{of.region}:{of.account}:{resource}"

    def object_paths(self, principal: Principal, action: str, bucket: str) -> tuple[str, ...]:
        """Returns on which objects of a bucket a role may do something, past the bucket's policy.

        The right to use the bucket's KMS key is not asked for: it can only take access away.

        Args:
            principal: the role.
            action: such as `s3:GetObject`.
            bucket: the bucket's name.

        Returns:
            patterns of keys, such as `training/*`, none of them within another; `*` for all.
        """
        whole = f"arn:{self.templates.partition}:s3:::{bucket}/*"
        policy = [item for item in self.buckets.get(bucket, ()) if item.is_for(principal.arn)]
        found = set()
        for statement in (*principal.policy, *policy):
            for pattern in statement.resources or ("*",):
                if not overlap(pattern, whole):
                    continue
                resource = pattern if covers(whole, pattern) else whole
                request = principal.request(action, resource)
                if (
                    allows([statement], request)
                    and principal.within(request)
                    and not denies(policy, request)
                ):
                    found.add(resource.removeprefix(whole[:-1]))
        wider = (any(one != key and covers(one, key) for one in found) for key in found)
        return tuple(sorted(key for key, within in zip(found, wider, strict=True) if not within))


def read_environment(settings: Settings, *, folder: Path = CDK_OUT) -> Environment:
    """Reads an environment from what `cdk synth` wrote.

    Raises:
        InputError: if the templates are missing, another environment's, or not understood.
    """
    templates = read_templates(settings, folder=folder)
    buckets: dict[str, tuple[Statement, ...]] = {
        bucket.ref: () for bucket in templates.of_type("AWS::S3::Bucket")
    }
    for policy in templates.of_type("AWS::S3::BucketPolicy"):
        name = policy.properties["Bucket"]
        found = statements(policy.properties["PolicyDocument"])
        buckets[name] = (*buckets.get(name, ()), *found)
    return Environment(
        settings=settings,
        templates=templates,
        principals=read_principals(templates, settings),
        governance=read_governance(templates),
        buckets=buckets,
    )
