"""Credentials that no account has."""

from tests.unit.doctor.conftest import credentials

__all__ = ["credentials"]
