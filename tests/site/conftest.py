from tests.unit.run_report.page import tab  # noqa: F401  # a fixture
