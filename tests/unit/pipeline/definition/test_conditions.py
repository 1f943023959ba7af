from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.conditions import check_conditions, holds


def compare(kind: str, left: object, right: object) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


TRUE, FALSE = compare("Equals", 1, 1), compare("Equals", 1, 2)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (compare("Equals", True, True), True),
        (compare("Equals", "a", "b"), False),
        (compare("Equals", 1, 1.0), True),
        (compare("GreaterThan", 2, 1), True),
        (compare("GreaterThan", 1, 1), False),
        (compare("GreaterThanOrEqualTo", 1, 1), True),
        (compare("LessThan", 1, 1), False),
        (compare("LessThan", "a", "b"), True),
        (compare("LessThanOrEqualTo", 0.5, 0.5), True),
        ({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, True),
        ({"Type": "In", "QueryValue": "c", "Values": ["a", "b"]}, False),
        ({"Type": "Not", "Condition": FALSE}, True),
        ({"Type": "Or", "Conditions": [FALSE, TRUE]}, True),
        ({"Type": "Or", "Conditions": [FALSE, FALSE]}, False),
        ({"Type": "Not", "Condition": {"Type": "Or", "Conditions": [TRUE]}}, False),
    ],
)
def test_conditions_hold_or_not(condition: dict[str, Any], expected: bool) -> None:
    check_conditions([condition], where="here")
    assert holds(condition, where="here") is expected


@pytest.mark.parametrize(
    "condition",
    [
        compare("Equals", 1, True),
        compare("Equals", "true", True),
        compare("Equals", None, True),
        {"Type": "Not", "Condition": compare("Equals", None, False)},
        {"Type": "In", "QueryValue": 1, "Values": ["1"]},
        compare("LessThan", True, False),
    ],
)
def test_values_of_different_types_never_decide_a_gate(condition: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="here: "):
        holds(condition, where="here")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([], "at least one condition"),
        ([{"Type": "Xor"}], r"here\[0\]: unknown condition type `Xor`"),
        ([{"Type": "Equals", "LeftValue": 1}], "Equals takes Type, LeftValue, RightValue"),
        ([{**TRUE, "Tolerance": 1}], "Equals takes"),
        ([{"Type": "Not", "Condition": {"Type": "And"}}], r"here\[0\].Condition: unknown"),
        ([{"Type": "In", "QueryValue": 1, "Values": 1}], "expected a list"),
    ],
)
def test_conditions_that_we_do_not_know_are_refused(conditions: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_conditions(conditions, where="here")
