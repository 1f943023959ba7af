"""Accepted vulnerabilities: `requirements/accepted.yaml` and `images/accepted.yaml`."""

import datetime as dt
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate


class Accepted(Frozen):
    """An accepted vulnerability, with an expiry date."""

    id: str = Field(min_length=4, description="OSV's id, or an alias such as CVE-2026-1234")
    package: str
    reason: str = Field(min_length=10, description="why it does no harm here")
    owner: str = Field(min_length=2, description="who answers for it")
    expires: dt.date = Field(description="the last day on which it holds (UTC)")


class _AcceptedFile(Frozen):
    accepted: tuple[Accepted, ...]


def read_accepted(path: Path) -> tuple[Accepted, ...]:
    """Reads the accepted vulnerabilities.

    Raises:
        InputError: if the file is missing, or an entry lacks a reason, an owner or a last day.
    """
    return validate(_AcceptedFile, read_yaml(path), source=str(path)).accepted
