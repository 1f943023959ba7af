"""cfn-lint over every template, its IAM rules made strict: they read every policy document."""

import json
from pathlib import Path

import pytest

from tests.infra.variants import VARIANTS, assembly_of, bootstrapped, settings_of, synthesized

# E3510-E3514: documents and ARNs; W3037: actions that AWS does not have; I3510: resources that an
# action does not take.
IAM = {"E3510", "E3511", "E3512", "E3513", "E3514", "I3510", "W3037"}


def _findings(*files):
    """Returns (rule, message) of what cfn-lint says about templates."""
    from cfnlint.api import ManualArgs, lint_file

    options = ManualArgs(include_checks=["I"], regions=["us-east-1"])
    findings = [item for file in files for item in lint_file(Path(file), config=options)]
    return [
        (item.rule.id, item.message)
        for item in findings
        if item.rule.id[0] == "E" or item.rule.id in IAM
    ]


def _endpoint_policies(folder, files):
    """Endpoints' documents as managed policies: where they are, cfn-lint does not read them."""
    documents = {
        logical_id: resource["Properties"]["PolicyDocument"]
        for file in files
        for logical_id, resource in json.loads(file.read_text())["Resources"].items()
        if resource["Type"] == "AWS::EC2::VPCEndpoint"
    }
    policies = {
        logical_id: {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "PolicyDocument": document
                | {"Statement": [_unaddressed(item) for item in document["Statement"]]}
            },
        }
        for logical_id, document in documents.items()
    }
    assert policies
    path = folder / "endpoints.json"
    path.write_text(json.dumps({"Resources": policies}))
    return path


def _unaddressed(statement):
    return {key: value for key, value in statement.items() if key != "Principal"}


# What the others have, these have too.
EACH_TIME = ("serving", "serving_prod")


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(variant, marks=() if variant in EACH_TIME else pytest.mark.slow)
        for variant in VARIANTS
    ],
)
def test_templates_and_policies_are_clean(variant, tmp_path):
    files = sorted(synthesized(variant).glob("*.template.json"))
    assert _findings(*files, _endpoint_policies(tmp_path, files)) == []


def test_the_bootstrap_policies_are_clean(tmp_path):
    templates = bootstrapped(settings_of("dev"), assembly_of("dev"), assembly_of("serving"))
    (tmp_path / "Bootstrap.template.json").write_text(json.dumps(templates))
    findings = _findings(tmp_path / "Bootstrap.template.json")
    # CloudFormation's handler reads a ruleset's tags; the reference lists none for rulesets.
    assert {message.partition("' requires")[0] for _, message in findings} == {
        "action 'glue:GetTags"
    }
