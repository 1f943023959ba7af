"""What an account has: data-lake settings, the cap of deploys, differences from the templates."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from sashiko.account.access import lake_governance as lake
from sashiko.account.access.policy_evaluation import Request, denies, statements
from sashiko.account.account import Account
from sashiko.account.names import bootstrap_policy_arn, exec_role_arn
from sashiko.settings.environment import Settings

_CHANGES = ("iam:DeleteRole", "iam:UpdateAssumeRolePolicy")


def cap_fault(account: Account, settings: Settings) -> str | None:
    """Returns why a deploy may change who assumes a role of the project; None if none may.

    None also where the account has no bootstrap: nothing is deployed there. The cap is written by
    `src/sashiko_cdk/bootstrap/policies.py`; `make bootstrap TRUST=open` and `make destroy` deploy
    one without the guard, for a while.
    """
    name = exec_role_arn(settings).rpartition("/")[2]
    role = account.read("iam", "get_role", absent=("NoSuchEntity",), RoleName=name)
    if role is None:
        return None
    arn = bootstrap_policy_arn(settings, "cap")
    boundary = role["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if boundary != arn:
        return f"CloudFormation's role has the boundary {boundary}, not {arn}"
    policy = account.read("iam", "get_policy", PolicyArn=arn) or {}
    newest = {"PolicyArn": arn, "VersionId": policy["Policy"]["DefaultVersionId"]}
    version = account.read("iam", "get_policy_version", **newest) or {}
    cap = statements(version["PolicyVersion"]["Document"])
    roles = f"arn:aws:iam::{settings.account}:role/{settings.project}-*"
    allowed = [
        action for action in _CHANGES if not denies(cap, Request(action=action, resource=roles))
    ]
    if not allowed:
        return None
    return f"{arn} does not deny {' and '.join(allowed)} on {roles}: it was left open, or is old"


def read_settings(account: Account) -> lake.LakeSettings:
    """Reads the account's data-lake settings."""
    response = account.read("lakeformation", "get_data_lake_settings") or {}
    settings = response["DataLakeSettings"]
    return lake.LakeSettings(
        admins=frozenset(
            admin["DataLakePrincipalIdentifier"] for admin in settings.get("DataLakeAdmins", ())
        ),
        database_defaults=lake.defaults(settings.get("CreateDatabaseDefaultPermissions", ())),
        table_defaults=lake.defaults(settings.get("CreateTableDefaultPermissions", ())),
        others=lake.other_settings(settings),
    )


Kind = Literal["missing", "extra", "differs", "note"]


@dataclass(frozen=True)
class Difference:
    """A resource of the account that differs from the templates."""

    # Missing in the account, extra in it, or different; a note is about a resource that others in
    # the account may have created: a person should check it.
    kind: Kind
    resource: str  # the resource, in words
    detail: str = ""  # the expected and the actual value; empty if `resource` is enough
    fix: str = field(kw_only=True)  # the command or step that removes the difference


def differs(
    resource: str, want: object, have: object, *, fix: str, kind: Kind = "differs"
) -> Difference:
    """Returns a difference between an expected and an actual value."""
    return Difference(kind, resource, f"expected {want}, found {have}", fix=fix)


def listed(values: Iterable[str]) -> str:
    """Writes values in one line, in order."""
    return ", ".join(sorted(values)) or "none"
