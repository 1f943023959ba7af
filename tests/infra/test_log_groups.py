"""Each log group is one that its key lets CloudWatch Logs encrypt: no emulator asks."""

import json
from fnmatch import fnmatchcase

import pytest

from tests.infra.variants import as_list, resources


def _groups(key):
    """The log groups, as patterns of ARNs, for which a key's policy lets Logs in."""
    return [
        pattern
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if "logs." in json.dumps(statement["Principal"])
        for condition in statement["Condition"].values()
        for pattern in as_list(condition["kms:EncryptionContext:aws:logs:arn"])
    ]


def _key(templates, template, reference):
    """The key that a reference means, in this stack or by another one's output."""
    if "Fn::GetStackOutput" in reference:
        output = reference["Fn::GetStackOutput"]
        template = templates[output["StackName"].rpartition("-")[2]]
        reference = template["Outputs"][output["OutputName"]]["Value"]
    return template["Resources"][reference["Fn::GetAtt"][0]]


@pytest.mark.parametrize("variant", ["dev", "serving", "serving_prod"])
def test_its_key_lets_each_log_group_be_encrypted(templates, variant):
    stacks = templates(variant)
    groups = [
        (group["Properties"]["LogGroupName"], group["Properties"]["KmsKeyId"], template)
        for template in stacks.values()
        for group in resources(template, "AWS::Logs::LogGroup").values()
        # It comes before the stack of the keys, and says so where it is made.
        if not group["Properties"]["LogGroupName"].endswith("/functions/lake-settings")
    ]

    assert len(groups) > 5
    denied = [
        name
        for name, reference, template in groups
        if not any(
            fnmatchcase(f"arn:aws:logs:us-east-1:{account}:log-group:{name}", pattern)
            for account in ("111122223333", "444455556666")
            for pattern in _groups(_key(stacks, template, reference))
        )
    ]
    assert denied == []


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_logs_may_do_with_each_key_what_it_does(templates, variant):
    """As "Encrypt log data in CloudWatch Logs" of its guide has it, by wildcards."""
    needed = {
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "ReEncryptFrom",
        "ReEncryptTo",
    }
    statements = [
        statement["Action"]
        for template in templates(variant).values()
        for key in resources(template, "AWS::KMS::Key").values()
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if "logs." in json.dumps(statement["Principal"])
    ]
    assert len(statements) >= 4
    for actions in statements:
        assert {f"kms:{name}" for name in needed} <= set(actions)
