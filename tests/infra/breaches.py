"""What breaks each security control: an edit of the synthesized templates.

`BREACH=S3.14 pytest ...` runs tests on templates that break the control. A test that is marked with
a control must then fail (test_security_controls.py), so that a mark on the wrong test is noticed.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Templates = dict[str, dict[str, Any]]  # stack -> template
Breach = Callable[[Templates], None]
_NO_KEY = {
    "ServerSideEncryptionConfiguration": [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]
}


def break_control(folder: Path, control: str) -> None:
    files = {path.name.partition(".")[0]: path for path in folder.glob("*.template.json")}
    templates = {stack: json.loads(path.read_text()) for stack, path in files.items()}
    BREACHES[control](templates)
    for stack, path in files.items():
        path.write_text(json.dumps(templates[stack]))


def _each(templates: Templates, kind: str) -> Iterator[dict[str, Any]]:
    for template in templates.values():
        for resource in template["Resources"].values():
            if resource["Type"] == f"AWS::{kind}":
                yield resource["Properties"]


def _put(kind: str, key: str, value: Any) -> Breach:
    """Sets a property of each resource of a type."""

    def breach(templates: Templates) -> None:
        for properties in _each(templates, kind):
            properties[key] = value

    return breach


def _drop(kind: str, key: str) -> Breach:
    """Removes a property of each resource of a type."""

    def breach(templates: Templates) -> None:
        for properties in _each(templates, kind):
            properties.pop(key, None)

    return breach


def _role(templates: Templates, name: str) -> dict[str, Any]:
    return next(
        role
        for role in _each(templates, "IAM::Role")
        if str(role.get("RoleName", "")).endswith(f"-{name}")
    )


def _allow(role: dict[str, Any], *actions: str) -> None:
    """Adds a statement to a role's own policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    policies = role.setdefault("Policies", [])
    policies.append({"PolicyName": "Breach", "PolicyDocument": document})


def _deny_nothing(role: dict[str, Any]) -> None:
    for policy in role["Policies"]:
        document = policy["PolicyDocument"]
        document["Statement"] = [item for item in document["Statement"] if item["Effect"] != "Deny"]


def _allow_everywhere(action: str) -> Breach:
    """Adds a statement to some policy that roles share."""
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}

    def breach(templates: Templates) -> None:
        policy = next(iter(_each(templates, "IAM::ManagedPolicy")))
        policy["PolicyDocument"]["Statement"].append(statement)

    return breach


def _trust_without(key: str) -> Breach:
    """Removes a part of the conditions, or all of them, under which a role may be assumed."""

    def breach(templates: Templates) -> None:
        for role in _each(templates, "IAM::Role"):
            for statement in role["AssumeRolePolicyDocument"]["Statement"]:
                if key == "Bool":
                    statement.get("Condition", {}).pop("Bool", None)
                elif "Service" in statement["Principal"]:
                    statement.pop(key, None)

    return breach


def _without_tls(templates: Templates) -> None:
    for policy in _each(templates, "S3::BucketPolicy"):
        document = policy["PolicyDocument"]
        document["Statement"] = [
            item for item in document["Statement"] if "SecureTransport" not in json.dumps(item)
        ]


def _without_flow_logs(templates: Templates) -> None:
    resources = templates["Network"]["Resources"]
    for name in [key for key, item in resources.items() if item["Type"] == "AWS::EC2::FlowLog"]:
        del resources[name]


def _open_groups(templates: Templates) -> None:
    for group in _each(templates, "EC2::SecurityGroup"):
        rule = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
        group["SecurityGroupEgress"] = [*group.get("SecurityGroupEgress", []), rule]
    for door in _each(templates, "EC2::VPCEndpoint"):
        for statement in door["PolicyDocument"]["Statement"]:
            statement.pop("Condition", None)
    way = {"Type": "AWS::EC2::InternetGateway", "Properties": {}}
    templates["Network"]["Resources"]["Way"] = way


def _public_topics(templates: Templates) -> None:
    for policy in _each(templates, "SNS::TopicPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            statement["Principal"] = "*"
            statement.pop("Condition", None)


def _sensitive_readers(templates: Templates) -> None:
    for grant in _each(templates, "LakeFormation::PrincipalPermissions"):
        if "data-scientist" in json.dumps(grant["Principal"]):
            for item in grant["Resource"].get("LFTagPolicy", {}).get("Expression", []):
                if "sensitivity" in item["TagKey"]:
                    item["TagValues"] = ["none", "sensitive", "pii"]
    for policy in _each(templates, "S3::BucketPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            named = statement.get("Condition", {}).get("ArnNotEquals")
            if named:
                readers = named["aws:PrincipalArn"]
                readers = readers if isinstance(readers, list) else [readers]
                *_, last = readers
                other = last.rpartition("/")[0] + "/sashiko-dev-data-scientist"
                named["aws:PrincipalArn"] = [*readers, other]


def _registering_approver(templates: Templates) -> None:
    approver = _role(templates, "approver")
    _deny_nothing(approver)
    _allow(approver, "sagemaker:CreateModelPackage", "kms:Sign")


def _any_environment(templates: Templates) -> None:
    for grant in _each(templates, "LakeFormation::PrincipalPermissions"):
        policy = grant["Resource"].get("LFTagPolicy", {})
        policy["Expression"] = [
            item for item in policy.get("Expression", []) if "environment" not in item["TagKey"]
        ]


def _another_administrator(templates: Templates) -> None:
    for template in templates.values():
        for resource in template["Resources"].values():
            if resource["Type"] == "Custom::DataLakeSettings":
                resource["Properties"]["Administrator"] += "-of-somebody"


def _lost_with_the_stack(templates: Templates) -> None:
    for template in templates.values():
        for resource in template["Resources"].values():
            kept = resource.get("DeletionPolicy") == "RetainExceptOnCreate"
            resource["DeletionPolicy"] = "Delete" if kept else "RetainExceptOnCreate"


BREACHES: dict[str, Breach] = {
    "S3.5": _without_tls,
    "S3.8": _put("S3::Bucket", "PublicAccessBlockConfiguration", {"BlockPublicPolicy": False}),
    "S3.9": _drop("S3::Bucket", "LoggingConfiguration"),
    "S3.12": _put(
        "S3::Bucket", "OwnershipControls", {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    ),
    "S3.13": _drop("S3::Bucket", "LifecycleConfiguration"),
    "S3.14": _drop("S3::Bucket", "VersioningConfiguration"),
    "S3.17": _put("S3::Bucket", "BucketEncryption", _NO_KEY),
    "KMS.1": _allow_everywhere("kms:Decrypt"),
    "KMS.2": lambda templates: _allow(_role(templates, "training"), "kms:Decrypt"),
    "KMS.4": _put("KMS::Key", "EnableKeyRotation", False),
    "IAM.1": _allow_everywhere("*"),
    "Glue.4": _put("Glue::Job", "GlueVersion", "2.0"),
    "EC2.6": _without_flow_logs,
    "EC2.15": _put("EC2::Subnet", "MapPublicIpOnLaunch", True),
    "ECR.1, ECR.2": _put("ECR::Repository", "ImageTagMutability", "MUTABLE"),
    "SNS.4": _public_topics,
    "SQS.1": _put("SQS::Queue", "SqsManagedSseEnabled", False),
    "StepFunctions.1": _put("StepFunctions::StateMachine", "LoggingConfiguration", {}),
    "Lambda.1, Lambda.2": _put("Lambda::Function", "Runtime", "python3.8"),
    "AC-4": _sensitive_readers,
    "AC-5": _registering_approver,
    "AC-6": lambda templates: _allow(_role(templates, "training"), "ec2:RunInstances"),
    "IA-2(1)": _trust_without("Bool"),
    "SC-7": _open_groups,
    "SC-28": lambda templates: _deny_nothing(_role(templates, "pipeline")),
    "confused-deputy": _trust_without("Condition"),
    "boundary": _drop("IAM::Role", "PermissionsBoundary"),
    "tag-environment": _any_environment,
    "broken-type": _put("Glue::Table", "OpenTableFormatInput", {"IcebergInput": {}}),
    "settings-by-function": _another_administrator,
    "retain": _lost_with_the_stack,
    "budget": _put("Budgets::Budget", "NotificationsWithSubscribers", []),
}
