"""Calls of AWS from inside a job: the session, and what an error means to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError

# Signs in what a service says -> what to do. The first that fits counts.
Advice = tuple[tuple[tuple[str, ...], str], ...]
_ANY_SERVICE: Advice = (
    (("kms:",), "this role may not use the key; see the key's policy and the role's"),
    (
        ("AccessDenied", "Access Denied", "Forbidden", "not authorized"),
        "allow that action to this role",
    ),
)


def job_session(of_what: str) -> Any:
    """Returns boto3's session of the region `AWS_REGION`; nothing is called.

    Args:
        of_what: whose region it is, for the message.

    Raises:
        InputError: if the variable is not set.
    """
    import boto3

    region = os.environ.get("AWS_REGION")
    if not region:
        raise InputError(f"AWS_REGION is not set; set it to the region of {of_what}")
    return boto3.Session(region_name=region)


def patient() -> Any:
    """Returns the clients' settings: services throttle many who ask at once, so ask again."""
    from botocore.config import Config

    return Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10)


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Boto3's clients of the services that a job calls; None of those that it does not."""

    athena: Any = None
    glue: Any = None
    kms: Any = None
    runtime: Any = None
    s3: Any = None
    sagemaker: Any = None


def connect(of_what: str, *services: str) -> Clients:
    """Makes the clients of the region `AWS_REGION`; none is called.

    Raises:
        InputError: if the variable is not set.
    """
    session, config = job_session(of_what), patient()
    return Clients(**{name: session.client(name, config=config) for name in services})


@contextmanager
def told(doing: str, *, advice: Advice = ()) -> Iterator[None]:
    """Turns an error of an AWS call into one message.

    Args:
        doing: what is being done, to follow "cannot".
        advice: what helps with the service's own errors.

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
        raise InputError(with_advice(f"cannot {doing}: {reason}", advice)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise InputError(
            f"cannot {doing}: {error}; the job needs credentials and an endpoint for the service: "
            "run it in the VPC that the Network stack makes, without network isolation"
        ) from error


def with_advice(reason: str, advice: Advice) -> str:
    """Adds what to do to what AWS says, where that is known."""
    for signs, what_helps in (*advice, *_ANY_SERVICE):
        if any(sign in reason for sign in signs):
            return f"{reason}; {what_helps}"
    return reason
