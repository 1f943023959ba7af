"""Tests of packs read the templates that the stacks' tests read."""

from tests.infra.conftest import templates  # noqa: F401  # a fixture
from tests.unit.run_report.opened import tab  # noqa: F401  # a fixture
