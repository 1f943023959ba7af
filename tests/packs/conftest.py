"""Tests of packs read the templates that the stacks' tests read."""

from tests.infra.conftest import templates  # noqa: F401  # a fixture
from tests.unit.run_report.page import tab  # noqa: F401  # a fixture
