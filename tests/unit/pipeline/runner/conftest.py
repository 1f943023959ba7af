"""A tiny pipeline for each test."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.pipeline.runner.run_record import RunRecord
from tests.unit.pipeline.runner.tiny import Tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path / "home")


def statuses(record: RunRecord) -> dict[str, str]:
    return {step.name: step.status for step in record.steps}


@pytest.fixture
def status_of() -> Any:
    return statuses
