"""These tests begin where the others do."""

from tests.conftest import pytest_configure

__all__ = ["pytest_configure"]
