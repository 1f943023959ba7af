"""AWS calls from inside a job: session, clients and readable errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError

# Markers in a service's error -> how to fix it. The first match counts.
Advice = tuple[tuple[tuple[str, ...], str], ...]
_ANY_SERVICE: Advice = (
    (("kms:",), "this role may not use the key; see the key's policy and the role's"),
    (
        ("AccessDenied", "Access Denied", "Forbidden", "not authorized"),
        "allow that action to this role",
    ),
)


def job_session(of_what: str) -> Any:
    """Returns a boto3 session for the region `AWS_REGION`, without calling AWS.

    Raises:
        InputError: if the variable is not set.
    """
    import boto3

    region = os.environ.get("AWS_REGION")
    if not region:
        raise InputError(f"AWS_REGION is not set; set it to the region of {of_what}")
    return boto3.Session(region_name=region)


@dataclass(frozen=True, kw_only=True)
class Clients:
    """The boto3 clients of a job or a check; None for the services that it does not call."""

    athena: Any = None
    glue: Any = None
    kms: Any = None
    runtime: Any = None
    s3: Any = None
    sagemaker: Any = None
    scaling: Any = None


def connect(of_what: str, *services: str) -> Clients:
    """Creates clients for the region `AWS_REGION`, which retry throttled calls; calls nothing.

    Raises:
        InputError: if the variable is not set.
    """
    from botocore.config import Config

    session = job_session(of_what)
    config = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10)
    return Clients(**{name: session.client(name, config=config) for name in services})


@contextmanager
def translate_errors(action: str, *, advice: Advice = ()) -> Iterator[None]:
    """Translates an AWS error into one `InputError`.

    `action` follows "cannot" in the message; `advice` has fixes for the service's own errors.

    Raises:
        InputError: with the action, AWS's error and the fix.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        reason = f"{details.get('Code', 'error')}: {details.get('Message', 'no message')}"
        raise InputError(with_advice(f"cannot {action}: {reason}", advice)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise InputError(
            f"cannot {action}: {error}; the job needs credentials and an endpoint for the service: "
            "run it in the VPC that the Network stack makes, without network isolation"
        ) from error


def with_advice(reason: str, advice: Advice) -> str:
    """Appends the fix to an AWS error, if one is known."""
    for markers, fix in (*advice, *_ANY_SERVICE):
        if any(marker in reason for marker in markers):
            return f"{reason}; {fix}"
    return reason
