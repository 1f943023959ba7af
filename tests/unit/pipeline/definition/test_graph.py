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
        "PropertyFiles": [{"PropertyFileName": "F", "OutputName": "o", "FilePath": "f.json"}],
    }


def gate(name: str, then: list[Any], other: list[Any], *, reads: str) -> dict[str, Any]:
    left = {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{reads}.PropertyFiles.F"}, "Path": "x"}}
    conditions = [
        {"Type": "Not", "Condition": {"Type": "Equals", "LeftValue": left, "RightValue": 1}}
    ]
    arguments = {"Conditions": conditions, "IfSteps": then, "ElseSteps": other}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def graph(*steps: dict[str, Any]) -> Any:
    return build_graph(parse_definition({"Steps": list(steps)}))


def test_edges_come_from_references_branches_and_depends_on() -> None:
    dependencies = graph(
        job("Late", "First", after=("Other",)),
        {**job("Other", "First"), "Type": "Lambda", "FunctionArn": "arn", "PropertyFiles": []},
        gate("Gate", [job("Inner", "First")], [job("Else")], reads="First"),
        job("First"),
    )
    assert dependencies.waits_for == {
        "Late": ("Other", "First"),
        "Other": ("First",),
        "Gate": ("First",),
        "Inner": ("Gate", "First"),
        "Else": ("Gate",),
        "First": (),
    }
    assert dependencies.order == ("First", "Other", "Gate", "Late", "Inner", "Else")


def test_downstream_goes_into_branches() -> None:
    dependencies = graph(job("A"), job("B"), gate("Gate", [job("Inner")], [], reads="A"))
    assert dependencies.downstream("A") == {"A", "Gate", "Inner"}
    assert dependencies.downstream("B") == {"B"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([job("A", "Lost")], r"step `A`, Arguments.Inputs\[0\]: no step is named `Lost`"),
        ([job("A", after=("Lost",))], r"step `A`, DependsOn\[0\]: no step is named `Lost`"),
        ([job("A", "B"), job("B", "C"), job("C", "A")], "A -> B -> C -> A"),
        ([job("A", "A")], "A -> A"),
        ([job("A"), gate("G", [job("In")], [], reads="A"), job("Out", "In")], "in a branch of `G`"),
        (
            [job("A"), gate("G", [job("In")], [job("Other", "In")], reads="A")],
            "step `In` stands in a branch of `G`",
        ),
        (
            [job("A"), gate("G", [], [], reads="A"), job("B", "G")],
            "Condition step has no properties",
        ),
        ([gate("G", [job("In")], [], reads="In")], "stands in a branch of `G`"),
    ],
)
def test_steps_that_cannot_wait_for_each_other_are_refused(
    steps: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        graph(*steps)


def test_a_property_file_must_be_declared() -> None:
    plain = job("A")
    del plain["PropertyFiles"]
    with pytest.raises(InputError, match="has no property file `F`; it has: none"):
        graph(plain, gate("G", [], [], reads="A"))


def test_nothing_waits_for_a_condition_but_what_stands_in_it() -> None:
    condition = gate("Gate", [job("Inner")], [], reads="First")
    with pytest.raises(InputError, match=r"step `Late`, DependsOn\[0\]: no step may depend on a"):
        graph(job("First"), condition, job("Late", after=("Gate",)))
