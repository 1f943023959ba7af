"""The function that looks whether the lake is open: what it sees, everybody sees."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import RefusedError, Request
from sashiko.functions import lake_probe

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
    """Has the function look at a database and two tables."""
    monkeypatch.setattr(boto3, "client", lambda _: glue)
    properties = {
        "Environment": "dev",
        "Database": "sashiko_dev",
        "Tables": "census complaints",
        "Grants": "1",
    }
    empty: Any = {"url": "", "stack": "", "id": "", "previous": {}, "physical_id": None}
    lake_probe._work(Request(kind=kind, resource="Closed", properties=properties, **empty))


def test_a_lake_that_shows_nothing_is_closed(monkeypatch):
    look(monkeypatch, Glue())


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
    assert "sashiko doctor --env dev" in message


def test_all_that_is_open_fits_into_an_answer(monkeypatch):
    with pytest.raises(RefusedError) as error:
        look(monkeypatch, Glue("sashiko_dev", "sashiko_dev.census", "sashiko_dev.complaints"))
    assert len(str(error.value)) <= 1_000
    assert "sashiko audit --env dev" in str(error.value)


def test_a_refusal_by_iam_is_not_taken_for_a_closed_lake(monkeypatch):
    with pytest.raises(ClientError, match="not authorized"):
        look(monkeypatch, Glue(message=BY_IAM))


def test_a_deletion_asks_nothing(monkeypatch):
    look(monkeypatch, Glue("sashiko_dev"), kind="Delete")
