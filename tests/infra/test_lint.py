"""cfn-lint over every template, its IAM rules made strict: they read every policy document."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.variants import (
    VARIANTS,
    assembly_of,
    bootstrapped,
    output_of,
    settings_of,
    synthesized,
)

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
    # Endpoints' documents as managed policies: where they are, cfn-lint does not read them.
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
    assert bool(policies) == (variant != "shared")  # whose endpoints are another account's
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps({"Resources": policies}))
    assert _findings(*files, *([path] if policies else [])) == []


def test_the_bootstrap_policies_are_clean(tmp_path):
    templates = bootstrapped(settings_of("dev"), assembly_of("dev"), assembly_of("serving"))
    (tmp_path / "Bootstrap.template.json").write_text(json.dumps(templates))
    findings = _findings(tmp_path / "Bootstrap.template.json")
    # CloudFormation's handler reads a ruleset's tags; the reference lists none for rulesets.
    assert {message.partition("' requires")[0] for _, message in findings} == {
        "action 'glue:GetTags"
    }


FOREIGN = "999999999999"
Change = Callable[[Any], None]


def _other_role(function: Any) -> None:
    function["Role"] = f"arn:aws:iam::{FOREIGN}:role/other"


def _replication(bucket: Any) -> None:
    destination = {"Bucket": "arn:aws:s3:::elsewhere", "Account": FOREIGN}
    rule = {"Status": "Enabled", "Destination": destination}
    bucket["ReplicationConfiguration"] = {
        "Role": f"arn:aws:iam::{FOREIGN}:role/other",
        "Rules": [rule],
    }


CHANGES: dict[str, tuple[str, Change, tuple[str, ...]]] = {
    "function's role": ("AWS::Lambda::Function", _other_role, ("Role", FOREIGN)),
    "replication": ("AWS::S3::Bucket", _replication, ("ReplicationConfiguration", FOREIGN)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_approver_sees_what_a_list_of_permissions_would_not_show(
    tmp_path: Path, name: str
) -> None:
    kind, change, words = CHANGES[name]
    assembly = tmp_path / "assembly"
    shutil.copytree(synthesized("prod"), assembly)
    file, document, properties = next(_resources(assembly, kind))
    deployed = tmp_path / "deployed.json"
    deployed.write_text(json.dumps(document))
    change(properties)
    file.write_text(json.dumps(document))
    stack = file.name.removesuffix(".template.json")
    command = ["node_modules/.bin/cdk", "diff", "--app", str(assembly), "--exclusively", stack]
    options = ["--template", str(deployed), "--no-color", "--no-notices"]
    done = output_of([*command, *options])
    output = done.stdout + done.stderr
    assert "Number of stacks with differences: 1" in output
    assert all(word in output for word in words), output


def _resources(assembly: Path, kind: str) -> Iterator[tuple[Path, Any, Any]]:
    for file in sorted(assembly.glob("*.template.json")):
        document = json.loads(file.read_text())
        for resource in document["Resources"].values():
            if resource["Type"] == kind:
                yield file, document, resource["Properties"]
