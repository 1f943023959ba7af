"""`differences` distinguishes a service's description that differs from one that agrees."""

from typing import Any

import pytest

from verification.deploy.deployed import differences, without

TEMPLATE = {"Name": "t", "Tags": [{"Key": "a"}, {"Key": "b"}], "Columns": ["x", "y"], "On": False}


@pytest.mark.parametrize(
    "actual",
    [
        TEMPLATE,
        {**TEMPLATE, "Arn": "of the service"},
        {**TEMPLATE, "Tags": [{"Key": "b", "Value": ""}, {"Key": "a"}]},
    ],
)
def test_a_service_may_say_more_and_in_its_own_order(actual: Any) -> None:
    assert list(differences(TEMPLATE, actual)) == []


@pytest.mark.parametrize(
    ("path", "actual"),
    [
        ("/Name", {**TEMPLATE, "Name": "u"}),
        ("/On", {key: item for key, item in TEMPLATE.items() if key != "On"}),
        ("/Columns/0", {**TEMPLATE, "Columns": ["y", "x"]}),
        ("/Columns", {**TEMPLATE, "Columns": ["x", "y", "z"]}),
        ("/Tags", {**TEMPLATE, "Tags": [{"Key": "a"}, {"Key": "c"}]}),
        ("/Tags", {**TEMPLATE, "Tags": []}),
    ],
)
def test_another_value_or_none_is_a_difference(path: str, actual: Any) -> None:
    assert next(text.split(":")[0] for text in differences(TEMPLATE, actual)) == path


def test_an_exception_takes_out_no_more_than_its_path() -> None:
    rules = {"Rules": [{"Port": 1, "Text": "one"}, {"Port": 2}], "Name": "t"}

    assert without(rules, ["Rules", "*", "Text"]) == {
        "Rules": [{"Port": 1}, {"Port": 2}],
        "Name": "t",
    }
    assert without(rules, ["Missing", "*", "Text"]) == rules
