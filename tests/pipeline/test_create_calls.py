"""A second opinion: botocore's own check of each Create call, over every definition we ship."""

from typing import Any

import pytest

from tests.pipeline.create_calls import create_calls, refusals
from tests.pipeline.every_definition import names


@pytest.mark.parametrize("name", names())
def test_botocore_would_send_each_job_that_we_ship(name: str, compiled: dict[str, Any]) -> None:
    calls = [(step, call.name) for step, call, _ in create_calls(compiled[name])]
    assert ("Train", "CreateTrainingJob") in calls
    assert ("Snapshot", "CreateProcessingJob") in calls
    assert len(calls) >= 11
    assert refusals(compiled[name]) == []
