"""The audit reads the deployed cap: one that was left open is a difference."""

from sashiko.account.names import exec_role_arn
from sashiko_packs.operations.audit import cap as differences
from tests.infra.variants import settings_of
from tests.unit.account.deployed_cap import cap, roles
from tests.unit.account.fake_account import FakeAccount

DEV = settings_of("dev")


def account(*, trust_open: bool) -> FakeAccount:
    return FakeAccount(
        {
            ("iam", "get_role"): roles(exec_role_arn(DEV).rpartition("/")[2]),
            ("iam", "get_policy"): {"Policy": {"DefaultVersionId": "v2"}},
            ("iam", "get_policy_version"): cap(trust_open=trust_open),
        }
    )


def test_a_cap_that_was_left_open_differs_with_the_command_that_closes_it() -> None:
    (difference,) = differences(account(trust_open=True), DEV)
    assert (difference.kind, difference.fix) == ("differs", "make bootstrap ENV=dev")
    assert "does not deny iam:DeleteRole and iam:UpdateAssumeRolePolicy" in difference.detail


def test_a_closed_cap_is_no_difference() -> None:
    assert list(differences(account(trust_open=False), DEV)) == []
