"""The function of the data-lake settings: others' administrators and settings stay."""

from typing import Any

import boto3
import pytest

from sashiko.base.custom_resource import Answer, RefusedError, Request
from sashiko.functions import lake_settings

OURS = "arn:aws:iam::111122223333:role/cdk-sashiko-cfn-exec-role-111122223333-us-east-1"
THEIRS = "arn:aws:iam::111122223333:role/another-team"
EVERYBODY = [
    {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
]


def principals(*arns: str) -> list[dict[str, str]]:
    return [{"DataLakePrincipalIdentifier": arn} for arn in arns]


class Formation:
    """Keeps an account's settings; `undo` does what somebody else does after each write."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {
            "DataLakeAdmins": principals(THEIRS),
            "ReadOnlyAdmins": principals(f"{THEIRS}-auditor"),
            "CreateDatabaseDefaultPermissions": EVERYBODY,
            "CreateTableDefaultPermissions": EVERYBODY,
            "Parameters": {"CROSS_ACCOUNT_VERSION": "4"},
        }
        self.undo: list[dict[str, Any]] = []
        self.written = 0

    def get_data_lake_settings(self) -> dict[str, Any]:
        return {"DataLakeSettings": dict(self.settings)}

    def put_data_lake_settings(self, **request: dict[str, Any]) -> None:
        self.written += 1
        self.settings = request["DataLakeSettings"] | (self.undo.pop(0) if self.undo else {})


@pytest.fixture
def formation(monkeypatch):
    fake = Formation()
    monkeypatch.setattr(boto3, "client", lambda _: fake)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return fake


def ask(kind: Any, *, arn: str = OURS, physical_id: str | None = None) -> Answer:
    """Has the function do what CloudFormation asks."""
    empty = {"url": "", "stack": "", "id": "", "previous": {}}
    of_arn = {"resource": "Settings", "properties": {"Administrator": arn}}
    request: Any = {"kind": kind, "physical_id": physical_id, **of_arn, **empty}
    return lake_settings._work(Request(**request))


def test_the_administrator_joins_those_there_and_everybody_gets_nothing(formation):
    before = formation.settings
    ask("Create")
    assert formation.settings == before | {
        "DataLakeAdmins": principals(THEIRS, OURS),
        "CreateDatabaseDefaultPermissions": [],
        "CreateTableDefaultPermissions": [],
    }


def test_unchanged_settings_are_not_written_again(formation):
    first = ask("Create")
    written = formation.written
    again = ask("Update", physical_id=first.physical_id)
    assert formation.written == written
    assert again == first  # another id would have CloudFormation delete the first


def test_a_deletion_takes_away_the_administrator_that_was_added_and_nothing_else(formation):
    added = ask("Create").physical_id
    ask("Delete", physical_id=added)
    assert formation.settings["DataLakeAdmins"] == principals(THEIRS)
    assert formation.settings["ReadOnlyAdmins"] == principals(f"{THEIRS}-auditor")
    # Opened again they would open what is made next, whoever makes it.
    assert formation.settings["CreateDatabaseDefaultPermissions"] == []


@pytest.mark.parametrize("administrators", [(OURS,), (THEIRS, OURS)])
def test_an_administrator_that_was_there_before_stays(formation, administrators):
    formation.settings["DataLakeAdmins"] = principals(*administrators)
    physical_id = ask("Create").physical_id
    ask("Delete", physical_id=physical_id)
    assert formation.settings["DataLakeAdmins"] == principals(*administrators)


def test_a_creation_that_failed_before_it_changed_anything_deletes_nothing(formation):
    before = dict(formation.settings)
    ask("Delete", physical_id="not made")
    assert formation.settings == before


def test_what_somebody_else_undoes_at_the_same_time_is_put_again(formation):
    formation.undo = [{"DataLakeAdmins": principals(THEIRS, f"{THEIRS}-2")}]
    ask("Create")
    assert formation.settings["DataLakeAdmins"] == principals(THEIRS, f"{THEIRS}-2", OURS)
    assert formation.settings["CreateTableDefaultPermissions"] == []


def test_what_is_undone_each_time_fails_and_says_where_to_look(formation):
    formation.undo = [{"CreateTableDefaultPermissions": EVERYBODY}] * 10
    with pytest.raises(RefusedError, match="PutDataLakeSettings in CloudTrail"):
        ask("Create")
