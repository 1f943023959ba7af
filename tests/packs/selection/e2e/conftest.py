"""The projects of `tests/e2e`."""

from tests.e2e.conftest import new_project, rows  # noqa: F401  # fixtures
from tests.e2e.test_causal import llama, project, run  # noqa: F401  # fixtures
