"""A run whose results are registered, in an account or on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sashiko.steps import registries, source_execution
from tests.unit.registry.model_packages.account import (
    Account,
    opened,
)
from tests.unit.steps.register_job import (
    RegisterJob,
    execution_arn,
)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisterJob:
    register_job = RegisterJob(tmp_path)
    monkeypatch.setenv("OPT_ML", str(register_job.root))
    return register_job


@pytest.fixture
def executions() -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """The selective executions: id -> id of the source, the steps that run, the others."""
    return {}


@pytest.fixture
def account(executions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    def answer(params: dict[str, Any], model: Any, **_: Any) -> tuple[Any, Any]:
        arn = json.loads(params["body"])["PipelineExecutionArn"]
        source, steps, others = executions.get(arn.rpartition("/")[2], ("", (), ()))
        origin = {"SourcePipelineExecutionArn": execution_arn(source)}
        config = origin | {"SelectedSteps": [{"StepName": name} for name in steps]}
        listed = [{"StepName": name} for name in steps]
        listed += [{"StepName": name, "SelectiveExecutionResult": origin} for name in others]
        answers = {
            "DescribePipelineExecution": {"SelectiveExecutionConfig": config} if source else {},
            "ListPipelineExecutionSteps": {"PipelineExecutionSteps": listed},
        }
        return SimpleNamespace(status_code=200), answers[model.name]

    with opened() as account:
        for module in (registries, source_execution):
            monkeypatch.setattr(module, "connect", lambda: account.clients)
        for operation in ("DescribePipelineExecution", "ListPipelineExecutionSteps"):
            name = f"before-call.sagemaker.{operation}"
            account.clients.sagemaker.meta.events.register_first(name, answer)
        yield account


@pytest.fixture
def mlflow(job: RegisterJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an MLflow."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri
