"""`compare` where the emulator of verification/deploy cannot stand in for an account."""

from dataclasses import replace
from pathlib import Path

import pytest

from sashiko.account.access.lake_governance import EVERYBODY, Grant, LakeSettings, Securable
from sashiko.account.names import exec_role_arn
from sashiko_packs.operations.audit import cap as differences
from sashiko_packs.operations.lake import compare_lake
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount, cap, roles
from tests.unit.account.small_lake import SmallLake

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
    assert list(differences(account(trust_open=False), DEV)) == []
    (difference,) = differences(account(trust_open=True), DEV)
    assert (difference.kind, difference.fix) == ("differs", "make bootstrap ENV=dev")
    assert "does not deny iam:DeleteRole and iam:UpdateAssumeRolePolicy" in difference.detail


def test_a_location_with_privileged_access_is_registered_anew(tmp_path: Path) -> None:
    """No update takes the privilege away."""
    environment = SmallLake().read(tmp_path)
    ((arn, location),) = environment.governance.locations.items()
    privileged = replace(location, modes=frozenset({"WithPrivilegedAccess"}))
    live = replace(environment.governance, locations={arn: privileged})

    (difference,) = compare_lake(environment, live)

    assert difference.kind == "differs"
    assert "WithPrivilegedAccess" in difference.detail
    deregister, register = difference.fix.split(" && ")
    assert deregister.startswith("aws lakeformation deregister-resource")
    assert register.startswith("aws lakeformation register-resource")


def test_a_condition_is_part_of_the_command_that_revokes(tmp_path: Path) -> None:
    environment = SmallLake().read(tmp_path)
    some = next(iter(environment.governance.grants))
    extra = replace(some, condition="context.user == 'me'")
    live = replace(environment.governance, grants=environment.governance.grants | {extra})

    (difference,) = compare_lake(environment, live)

    assert difference.resource.endswith(" if context.user == 'me'")
    assert "--condition " in difference.fix


def test_without_lake_formation_everybodys_rights_are_no_difference(tmp_path: Path) -> None:
    for variant, kinds in (("iam_only", []), ("dev", ["extra"])):
        lake = SmallLake(settings_of(variant))
        environment = lake.read(tmp_path / variant)
        everybody = Grant(
            principal=EVERYBODY,
            securable=Securable(kind="Database", database=lake.database),
            permission="ALL",
        )
        governance = environment.governance
        live = replace(governance, grants=governance.grants | {everybody})
        assert [item.kind for item in compare_lake(environment, live)] == kinds


@pytest.mark.parametrize(
    ("caller", "all_of_it"),
    [
        ("arn:aws:iam::111122223333:user/reader", True),
        ("arn:aws:iam::111122223333:user/other", False),
        ("arn:aws:sts::111122223333:assumed-role/lake-owner/me", True),
        ("arn:aws:sts::111122223333:assumed-role/owner/me", False),
    ],
)
def test_lake_formation_lists_all_to_administrators_alone(caller: str, all_of_it: bool) -> None:
    settings = LakeSettings(
        admins=frozenset({"arn:aws:iam::111122223333:role/teams/lake-owner"}),
        others={"ReadOnlyAdmins": frozenset({"arn:aws:iam::111122223333:user/reader"})},
    )
    assert settings.lists_all_to(caller) is all_of_it
