"""Boto3 clients that answer what a test tells them, and refuse every other call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.stub import Stubber

QUERY = "11111111-2222-3333-4444-555555555555"


@contextmanager
def stubbed(service: str) -> Iterator[tuple[Any, Stubber]]:
    """A client and its stub; at the end every answer must have been used."""
    client = boto3.client(
        service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def add_query(athena: Stubber, *states: str | dict[str, Any]) -> None:
    """The start of a query, and the states that one sees it in; a dict is a whole status."""
    athena.add_response("start_query_execution", {"QueryExecutionId": QUERY})
    add_states(athena, *states)


def add_states(athena: Stubber, *states: str | dict[str, Any]) -> None:
    for state in states:
        status = {"State": state} if isinstance(state, str) else state
        athena.add_response(
            "get_query_execution",
            {"QueryExecution": {"QueryExecutionId": QUERY, "Status": status}},
            {"QueryExecutionId": QUERY},
        )


def add_stop(athena: Stubber) -> None:
    athena.add_response("stop_query_execution", {}, {"QueryExecutionId": QUERY})


def glue_table(columns: dict[str, str], keys: tuple[str, ...] = ("as_of",)) -> dict[str, Any]:
    """What GetTable answers a role that sees these columns."""
    return {
        "Table": {
            "Name": "loans",
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()]
            },
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
        }
    }
