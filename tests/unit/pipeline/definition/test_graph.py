from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.model import parse_definition


def job(name: str, *uses: str, after: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {"Inputs": [{"Get": f"Steps.{use}.X"} for use in uses]},
        "DependsOn": list(after),
    }


def gate(name: str, *, reads: str) -> dict[str, Any]:
    return {**job(name, reads), "Type": "Lambda", "FunctionArn": "arn"}


def graph(*steps: dict[str, Any]) -> Any:
    return build_graph(parse_definition({"Steps": list(steps)}))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([job("A", "Lost")], r"step `A`, Arguments.Inputs\[0\]: no step is named `Lost`"),
        ([job("A", after=("Lost",))], r"step `A`, DependsOn\[0\]: no step is named `Lost`"),
        ([job("A", "B"), job("B", "C"), job("C", "A")], "A -> B -> C -> A"),
        ([job("A", "A")], "A -> A"),
        ([job("A"), gate("G", reads="A"), job("B", "G")], "Lambda step has no properties"),
    ],
)
def test_steps_that_cannot_wait_for_each_other_are_refused(
    steps: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        graph(*steps)
