"""Who sees what in a definition with the step Guardrail."""

import json

from tests.pipeline.conftest import compiled  # noqa: F401  # a fixture
from tests.pipeline.test_account import jobs, network


def test_a_guardrail_sees_texts_and_no_facet_and_the_bias_evaluator_no_text(
    compiled,  # noqa: F811
):
    steps = jobs(compiled["guardrail"])
    asks, judges = (steps[name]["Arguments"] for name in ("Guardrail", "JudgeBias"))
    assert asks["RoleArn"].endswith("-device-check")
    assert [item["InputName"] for item in asks["ProcessingInputs"]] == ["test"]
    assert network(asks)["EnableNetworkIsolation"] is False
    assert judges["RoleArn"].endswith("-bias-evaluator")
    (outcomes,) = [item for item in judges["ProcessingInputs"] if item["InputName"] == "blocked"]
    assert "Steps.Guardrail." in json.dumps(outcomes)
    assert judges["AppSpecification"]["ContainerArguments"] == ["--blocking-difference", "0.02"]
    assert "Guardrail" not in jobs(compiled["dev, complaints-llm"])
