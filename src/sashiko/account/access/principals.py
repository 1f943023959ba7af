"""The roles of an environment and their IAM permissions, from the templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sashiko.account.access.policy_evaluation import Request, Statement, allows, denies, statements
from sashiko.account.names import prefix
from sashiko.account.templates import Resource, Templates
from sashiko.errors import InputError
from sashiko.settings.environment import Settings


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A role."""

    name: str  # the role's name without the environment's prefix, such as `broker`
    arn: str
    policy: tuple[Statement, ...]  # every statement of its identity policies
    # Its permissions boundary; None if the templates do not contain it, such as that of the
    # bootstrap: it then counts as allowing everything.
    boundary: tuple[Statement, ...] | None
    trust: tuple[Statement, ...]  # who may assume it

    def may(self, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
        """Says whether IAM allows an action by the role's own policies."""
        request = self.request(action, resource, context)
        return self.within(request) and allows(self.policy, request)

    def within(self, request: Request) -> bool:
        """Says whether no policy of the role denies a request, and its boundary allows it."""
        bounded = self.boundary is None or (
            allows(self.boundary, request) and not denies(self.boundary, request)
        )
        return bounded and not denies(self.policy, request)

    def request(
        self, action: str, resource: str, context: Mapping[str, str] | None = None
    ) -> Request:
        """Returns the request that the role would make, over TLS."""
        account = self.arn.split(":")[4]
        defaults = {
            "aws:principalarn": self.arn,
            "aws:principalaccount": account,
            "aws:resourceaccount": account,
            "aws:principalisawsservice": "false",
            "aws:viaawsservice": "false",
            "aws:securetransport": "true",
        }
        overrides = {key.lower(): value for key, value in (context or {}).items()}
        return Request(action=action, resource=resource, context=defaults | overrides)


def read_principals(templates: Templates, settings: Settings) -> tuple[Principal, ...]:
    """Reads the roles, by name.

    Raises:
        InputError: if a role has a policy whose text is not in the templates.
    """
    managed = {
        resource.ref: statements(resource.properties["PolicyDocument"])
        for part in (templates.of_type, templates.of_bootstrap)
        for resource in part("AWS::IAM::ManagedPolicy")
    }
    attached = list(_attached(templates))
    principals = [
        _principal(role, templates, settings, managed, attached)
        for role in templates.of_type("AWS::IAM::Role")
    ]
    return tuple(sorted(principals, key=lambda principal: principal.name))


def role_arn(role: Resource, templates: Templates) -> str:
    """Returns the ARN of a role's resource."""
    path = role.properties.get("Path", "/")
    return f"arn:{templates.partition}:iam::{templates.account}:role{path}{role.ref}"


def _attached(templates: Templates) -> Iterator[tuple[str, tuple[Statement, ...]]]:
    """Yields role name and statements of each policy that is attached by role name."""
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        for resource in templates.of_type(kind):
            for name in resource.properties.get("Roles", ()):
                yield name, statements(resource.properties["PolicyDocument"])
    for resource in templates.of_type("AWS::IAM::RolePolicy"):
        yield (
            resource.properties["RoleName"],
            statements(resource.properties.get("PolicyDocument", {})),
        )


def _principal(
    role: Resource,
    templates: Templates,
    settings: Settings,
    managed: Mapping[str, tuple[Statement, ...]],
    attached: list[tuple[str, tuple[Statement, ...]]],
) -> Principal:
    properties = role.properties
    arns = properties.get("ManagedPolicyArns", ())
    for arn in arns:
        if arn not in managed:
            raise InputError(
                f"{role.stack}: the role {role.ref} has the policy {arn}, whose text is in no "
                "template, so its permissions are unknown; write its statements out instead"
            )
    inline = [statements(policy["PolicyDocument"]) for policy in properties.get("Policies", ())]
    by_name = [policy for name, policy in attached if name == role.ref]
    policies = [*inline, *(managed[arn] for arn in arns), *by_name]
    return Principal(
        name=role.ref.removeprefix(f"{prefix(settings)}-"),
        arn=role_arn(role, templates),
        policy=tuple(statement for policy in policies for statement in policy),
        boundary=managed.get(properties.get("PermissionsBoundary", "")),
        trust=statements(properties["AssumeRolePolicyDocument"]),
    )
