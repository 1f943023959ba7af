"""What an account has: its data-lake settings, and the cap of its deploys."""

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
    return f"{arn} does not deny {' and '.join(allowed)} on {roles}: it was left open, or is older"


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
