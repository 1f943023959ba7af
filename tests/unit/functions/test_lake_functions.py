"""The function that looks whether the lake is open: what it sees, everybody sees."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import Answer, RefusedError, Request
from sashiko.functions import lake_probe, lake_settings

CLOSED = "Insufficient Lake Formation permission(s): Required Describe on sashiko_dev"
BY_IAM = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: glue:GetDatabase"


class Glue:
    """Shows what is in `visible`, and refuses all else with `message`."""

    def __init__(self, *visible: str, message: str = CLOSED) -> None:
        self._visible, self._message = visible, message

    def get_database(self, **named: str) -> Any:
        return self._show(named["Name"])

    def get_table(self, **named: str) -> Any:
        return self._show(f"{named['DatabaseName']}.{named['Name']}")

    def _show(self, name: str) -> Any:
        if name in self._visible:
            return {}
        error = {"Code": "AccessDeniedException", "Message": self._message}
        raise ClientError({"Error": error}, "Get")


def look(monkeypatch: pytest.MonkeyPatch, glue: Glue, kind: Any = "Create") -> None:
    monkeypatch.setattr(boto3, "client", lambda _: glue)
    properties = {
        "Environment": "dev",
        "Database": "sashiko_dev",
        "Tables": "census complaints",
        "Grants": "1",
    }
    empty: Any = {"url": "", "stack": "", "id": "", "previous": {}, "physical_id": None}
    lake_probe._work(Request(kind=kind, resource="Closed", properties=properties, **empty))


def test_a_closed_lake_passes_and_all_that_is_open_fits_into_an_answer(monkeypatch):
    look(monkeypatch, Glue())
    look(monkeypatch, Glue("sashiko_dev"), kind="Delete")

    with pytest.raises(RefusedError) as error:
        look(monkeypatch, Glue("sashiko_dev", "sashiko_dev.census", "sashiko_dev.complaints"))
    assert len(str(error.value)) <= 1_000
    assert "sashiko env drift --env dev" in str(error.value)


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("sashiko_dev", '{"Database": {"Name": "sashiko_dev"}}'),
        (
            "sashiko_dev.complaints",
            '{"Table": {"DatabaseName": "sashiko_dev", "Name": "complaints"}}',
        ),
    ],
)
def test_what_it_sees_is_named_with_the_command_that_closes_it(monkeypatch, name, resource):
    with pytest.raises(RefusedError) as error:
        look(monkeypatch, Glue(name))
    message = str(error.value)
    assert message.startswith(f"{name}: open to everybody")
    assert "DataLakePrincipalIdentifier=IAM_ALLOWED_PRINCIPALS" in message
    assert f"--resource '{resource}'" in message
    assert "sashiko env doctor --env dev" in message


def test_a_refusal_by_iam_is_not_taken_for_a_closed_lake(monkeypatch):
    with pytest.raises(ClientError, match="not authorized"):
        look(monkeypatch, Glue(message=BY_IAM))


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
