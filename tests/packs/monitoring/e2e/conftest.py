"""The projects of `tests/e2e`."""

from tests.e2e.conftest import new_project, rows  # noqa: F401  # fixtures
