"""Clients of the services that a snapshot calls, and what their errors mean to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError

_COMPARE = "compare `sashiko permissions` with `sashiko audit`, and ask the lake's owner"
# Signs in what Athena, Glue and S3 say -> what to do. The first that fits counts.
_ADVICE = (
    (
        ("static equality conditions",),
        "the table asks for a value of another partition key than `as_of`; "
        "deploy the DataLake stack again, which makes the table from the contract",
    ),
    (
        ("COLUMN_NOT_FOUND",),
        f"the table lacks the column, or Lake Formation does not grant it to this role; {_COMPARE}",
    ),
    (("Lake Formation", "LAKE_FORMATION"), f"this role lacks a grant; {_COMPARE}"),
    (
        ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "EntityNotFound", "is not found"),
        "correct `LakeUri`, or deploy the DataLake and Governance stacks: what is not granted to "
        "this role is not found either",
    ),
    (("Bytes scanned limit",), "the workgroup allows a query fewer bytes; raise its limit"),
    (("exhausted resources",), "Athena was short of resources; start the run again"),
    (
        ("HIVE_BAD_DATA", "HIVE_PARTITION_SCHEMA_MISMATCH", "Unsupported Trino column type"),
        "the table's files do not have the types of its columns; run the ETL job again, and start "
        "the run with its new `AsOf`",
    ),
    (("kms:",), "this role may not use the key; see the key's policy and the role's"),
    (
        ("AccessDenied", "Access Denied", "Forbidden", "not authorized"),
        "allow that action to this role",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Boto3's clients: all that a container needs to reach."""

    athena: Any
    glue: Any
    s3: Any


def connect() -> Clients:
    """Makes the clients of the region `AWS_REGION`; none is called.

    Raises:
        InputError: if the variable is not set.
    """
    import boto3
    from botocore.config import Config

    region = os.environ.get("AWS_REGION")
    if not region:
        raise InputError("AWS_REGION is not set; set it to the region of the lake")
    session = boto3.Session(region_name=region)
    # Athena throttles many who ask at once; the SDK waits and asks again.
    config = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10)
    return Clients(
        athena=session.client("athena", config=config),
        glue=session.client("glue", config=config),
        s3=session.client("s3", config=config),
    )


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turns an error of an AWS call into one message.

    Args:
        doing: what is being done, to follow "cannot".

    Raises:
        InputError: what could not be done, what AWS says, and what helps.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        reason = f"{said.get('Code', 'error')}: {said.get('Message', 'no message')}"
        raise InputError(with_advice(f"cannot {doing}: {reason}")) from error
    except (BotoCoreError, Boto3Error) as error:
        raise InputError(
            f"cannot {doing}: {error}; the job needs credentials and an endpoint for the service: "
            "run it in the VPC that the Network stack makes, without network isolation"
        ) from error


def with_advice(reason: str) -> str:
    """Adds what to do to what AWS says, where that is known."""
    for signs, advice in _ADVICE:
        if any(sign in reason for sign in signs):
            return f"{reason}; {advice}"
    return reason
