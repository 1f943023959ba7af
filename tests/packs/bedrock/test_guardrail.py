"""Guardrail: whose texts a guardrail blocks, by Bedrock on loopback."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.unchain import unchain
from sashiko_packs.bedrock.steps import guardrail
from tests.packs.bedrock.loopback import Bedrock, Runtime, served, serving
from tests.pipeline.conftest import compiled  # noqa: F401  # a fixture
from tests.pipeline.test_account import jobs, network

NAME = "sashiko-dev-models"
TEXTS = [f"loan {number}" for number in range(30)]


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    control = Bedrock(guardrails={"g9": ("another", (4,)), "g1": (NAME, (1, 10, 9))})
    state = Runtime(blocks=lambda text: text.endswith("7"))
    with served(control) as url, serving(state) as runtime_url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK": url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": runtime_url,
            "OPT_ML": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sashiko.base.bedrock_calls.time.sleep", lambda _: None)
        test = tmp_path / "processing/input/test"
        test.mkdir(parents=True)
        keys = [f"k{number:02}" for number in range(len(TEXTS))]
        labels = [number % 2 for number in range(len(TEXTS))]
        write_table(test / "data.parquet", pa.table({"key": keys, "text": TEXTS, "label": labels}))
        yield state


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = NAME) -> Path:
    monkeypatch.setattr(sys, "argv", ["guardrail", "--name", name])
    guardrail.main()
    return tmp_path / "processing/output/outcomes"


def test_each_text_is_checked_once_and_its_outcome_is_kept_by_key(runtime, tmp_path, monkeypatch):
    outcomes = run(tmp_path, monkeypatch)
    table = pq.read_table(outcomes / "outcomes.parquet")
    assert table.column_names == ["key", "label", "blocked"]
    blocked = {row["key"] for row in table.to_pylist() if row["blocked"]}
    assert blocked == {"k07", "k17", "k27"}
    assert sorted(runtime.texts()) == sorted(TEXTS)
    requests = [request for _, request in runtime.requests]
    assert {(item["guardrailIdentifier"], item["guardrailVersion"]) for item in requests} == {
        ("g1", "10")
    }
    blocker = json.loads((outcomes / "blocker.json").read_text())
    assert (blocker["kind"], blocker["name"]) == ("guardrail", "guardrail g1, version 10")


def test_throttling_outages_and_read_timeouts_are_waited_out(runtime, tmp_path, monkeypatch):
    from botocore.config import Config

    def impatient(**options: Any) -> Config:
        return Config(**(options | {"read_timeout": 0.3}))

    monkeypatch.setattr("botocore.config.Config", impatient)
    runtime.faults = [
        "ThrottlingException", "silent", "ServiceUnavailableException", "cut",
        "InternalServerException", "silent",
    ]  # fmt: skip
    outcomes = run(tmp_path, monkeypatch)
    assert pq.read_table(outcomes / "outcomes.parquet").num_rows == len(TEXTS)


def test_a_guardrail_that_is_missing_or_refuses_ends_the_step_and_leaves_nothing(
    runtime, tmp_path, monkeypatch
):
    with pytest.raises(InputError, match="no guardrail of-nobody with a numbered version: deploy"):
        run(tmp_path, monkeypatch, name="of-nobody")
    assert runtime.requests == []

    runtime.faults = ["ValidationException"]
    with pytest.raises(InputError, match=r"guardrail g1, version 10: ValidationException.*shorten"):
        run(tmp_path, monkeypatch)
    assert not (tmp_path / "processing/output/outcomes" / "outcomes.parquet").exists()


def test_a_guardrail_sees_texts_and_no_facet_and_the_bias_evaluator_no_text(
    compiled,  # noqa: F811 - the fixture
):
    steps = {step.name: step for step in unchain(parse_definition(compiled["guardrail"])).steps}
    asks, judges = (dict(steps[name].arguments) for name in ("Guardrail", "JudgeBias"))
    assert asks["RoleArn"].endswith("-device-check")
    assert [item["InputName"] for item in asks["ProcessingInputs"]] == ["test"]
    assert network(asks)["EnableNetworkIsolation"] is False
    assert judges["RoleArn"].endswith("-bias-evaluator")
    (outcomes,) = [item for item in judges["ProcessingInputs"] if item["InputName"] == "blocked"]
    assert "Steps.Guardrail." in json.dumps(outcomes)
    assert judges["AppSpecification"]["ContainerArguments"] == ["--blocking-difference", "0.02"]
    assert "Guardrail" not in jobs(compiled["dev, complaints-llm"])
