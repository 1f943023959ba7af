"""The diagrams say what the templates and the definition hold."""

import json
import re

import pytest

from docs.diagrams import ROOT, diagrams, draw
from docs.whole import whole_picture
from tests.infra.variants import WHOLE

PEOPLE = {"AWS": "arn:aws:iam::111122223333:root"}
_of_all_packs = pytest.mark.skipif(not WHOLE, reason="a pack is missing, and with it boxes")


@pytest.fixture
def roles(templates):
    """Role of dev, without the prefix -> whom it trusts."""
    return {
        str(role["RoleName"]).removeprefix("sashiko-dev-"): [
            statement["Principal"] for statement in role["AssumeRolePolicyDocument"]["Statement"]
        ]
        for resource in templates("dev")["Identity"]["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for role in [resource["Properties"]]
    }


@_of_all_packs
def test_the_diagrams_are_current(templates):
    if not (ROOT / "docs/node_modules").is_dir():
        pytest.skip("Graphviz is not installed: make docs/node_modules/.done")
    drawn = draw({**diagrams(), "whole": whole_picture(templates("serving"))})
    assert len(drawn) == 8
    for path, picture in drawn.items():
        assert path.read_text() == picture, f"{path.name}: run `make docs`"


def test_an_arrow_goes_with_what_it_stands_for(templates):
    """Without the rule of loaded versions nothing leads from the Glue job to the pipeline."""
    stacks = json.loads(json.dumps(templates("serving")))
    resources = stacks["Pipeline"]["Resources"]
    [rule] = [
        name
        for name, resource in resources.items()
        if resource["Properties"].get("Name") == "sashiko-dev-complaints-loaded"
    ]
    del resources[rule]
    arrow = "Glue job etl-complaints to state machine start-complaints"
    assert arrow in whole_picture(templates("serving")).text
    assert arrow not in whole_picture(stacks).text


def _listed(diagram, group):
    [label] = re.findall(f'label="{group}:(.*?)"', diagram)
    words = label.replace("\\n", " ").removesuffix(" and others")
    return {word.strip() for word in words.split(",")}


@_of_all_packs
@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_picture_of_the_accounts_has_the_roles_that_people_assume(roles, stage):
    text = (ROOT / "docs/accounts.dot").read_text()
    part = text.partition(f"cluster_{stage} ")[2].partition("\n}")[0]
    people = {name for name, trusted in roles.items() if PEOPLE in trusted}
    assert _listed(part, "roles of people") == people
    assert _listed(part, "roles of services") < roles.keys() - people


def test_the_picture_of_the_data_has_the_roles_of_jobs(roles):
    flow = diagrams()["data-flow"]
    [jobs] = re.findall(r"cluster_jobs .*?\n}", "\n".join(flow.lines), re.DOTALL)
    named = re.findall(r'^"([a-z-]+)"', jobs, re.MULTILINE)
    assert len(named) == 6
    for name in named:
        assert {"Service": "sagemaker.amazonaws.com"} in roles[name], name
    assert "bias-evaluator reads sensitive" in flow.text
    assert "broker reads sensitive" not in flow.text
