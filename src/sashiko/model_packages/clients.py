"""Clients of the services that hold a registered model, and what their errors mean to a person."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sashiko import calls

_ADVICE: calls.Advice = (
    (
        ("kms:Sign",),
        "allow this role kms:Sign on the signing key, which the Platform stack makes",
    ),
    (
        ("NotFoundException: Alias", "NotFoundException: Key"),
        "deploy the Platform stack, which makes the signing key",
    ),
    (("DisabledException", "KMSInvalidStateException"), "enable the key, or give another one"),
    (
        ("does not exist", "Could not find"),
        "deploy the DataLake and Platform stacks: bucket and model package group are theirs",
    ),
    (
        ("BadDigest", "checksum", "Content-MD5"),
        "a file was changed while it was read; run the step again",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Boto3's clients: all that the registry needs to reach."""

    sagemaker: Any
    s3: Any
    kms: Any


def connect() -> Clients:
    """Makes the clients of the region `AWS_REGION`; none is called.

    Raises:
        InputError: if the variable is not set.
    """
    session, config = calls.job_session("the model registry"), calls.patient()
    return Clients(
        sagemaker=session.client("sagemaker", config=config),
        s3=session.client("s3", config=config),
        kms=session.client("kms", config=config),
    )


def told(doing: str) -> AbstractContextManager[None]:
    """Turns an error of an AWS call into one message, as `calls.told`."""
    return calls.told(doing, advice=_ADVICE)
