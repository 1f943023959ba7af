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
_ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def break_control(folder: Path, control: str) -> None:
    """Breaks a control in a folder of synthesized templates."""
    files = {path.name.partition(".")[0]: path for path in folder.glob("*.template.json")}
    templates = {stack: json.loads(path.read_text()) for stack, path in files.items()}
    BREACHES[control](templates)
    for stack, path in files.items():
        path.write_text(json.dumps(templates[stack]))


def _each(templates: Templates, kind: str) -> Iterator[dict[str, Any]]:
    """Yields the properties of the resources of a type."""
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


def _without_tls(templates: Templates) -> None:
    for policy in _each(templates, "S3::BucketPolicy"):
        document = policy["PolicyDocument"]
        document["Statement"] = [
            item for item in document["Statement"] if "SecureTransport" not in json.dumps(item)
        ]


def _public_buckets(templates: Templates) -> None:
    for bucket in _each(templates, "S3::Bucket"):
        bucket["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


def _unencrypted_buckets(templates: Templates) -> None:
    for bucket in _each(templates, "S3::Bucket"):
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        rule["ServerSideEncryptionByDefault"] = {"SSEAlgorithm": "AES256"}


def _decrypting_policy(templates: Templates) -> None:
    policy = next(iter(_each(templates, "IAM::ManagedPolicy")))
    statement = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    policy["PolicyDocument"]["Statement"].append(statement)


def _without_rotation(templates: Templates) -> None:
    for key in _each(templates, "KMS::Key"):
        key["EnableKeyRotation"] = False


def _everything_allowed(templates: Templates) -> None:
    policy = next(iter(_each(templates, "IAM::ManagedPolicy")))
    policy["PolicyDocument"]["Statement"].append(_ANYTHING)


def _without_flow_logs(templates: Templates) -> None:
    resources = templates["Network"]["Resources"]
    for name in [key for key, item in resources.items() if item["Type"] == "AWS::EC2::FlowLog"]:
        del resources[name]


def _gateway(templates: Templates) -> None:
    templates["Network"]["Resources"]["Way"] = {
        "Type": "AWS::EC2::InternetGateway",
        "Properties": {},
    }


def _open_groups(templates: Templates) -> None:
    for group in _each(templates, "EC2::SecurityGroup"):
        rule = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
        group["SecurityGroupEgress"] = [*group.get("SecurityGroupEgress", []), rule]
    for door in _each(templates, "EC2::VPCEndpoint"):
        for statement in door["PolicyDocument"]["Statement"]:
            statement.pop("Condition", None)
    _gateway(templates)


def _mutable_unscanned_images(templates: Templates) -> None:
    for repository in _each(templates, "ECR::Repository"):
        repository["ImageTagMutability"] = "MUTABLE"


def _public_topics(templates: Templates) -> None:
    for policy in _each(templates, "SNS::TopicPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            statement["Principal"] = "*"
            statement.pop("Condition", None)


def _sensitive_readers(templates: Templates) -> None:
    """Lets data scientists read sensitive columns, and the objects of the lake."""
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
    for policy in approver["Policies"]:
        document = policy["PolicyDocument"]
        document["Statement"] = [item for item in document["Statement"] if item["Effect"] != "Deny"]
    _allow(approver, "sagemaker:CreateModelPackage", "kms:Sign")


def _wide_policies(templates: Templates) -> None:
    for role in _each(templates, "IAM::Role"):
        _allow(role, "ec2:RunInstances")


def _without_second_factor(templates: Templates) -> None:
    for role in _each(templates, "IAM::Role"):
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            statement.get("Condition", {}).pop("Bool", None)


def _without_guardrails(templates: Templates) -> None:
    for policy in _role(templates, "pipeline")["Policies"]:
        document = policy["PolicyDocument"]
        document["Statement"] = [item for item in document["Statement"] if item["Effect"] != "Deny"]


def _without_sources(templates: Templates) -> None:
    for role in _each(templates, "IAM::Role"):
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if "Service" in statement["Principal"]:
                statement.pop("Condition", None)


def _any_environment(templates: Templates) -> None:
    for grant in _each(templates, "LakeFormation::PrincipalPermissions"):
        policy = grant["Resource"].get("LFTagPolicy", {})
        policy["Expression"] = [
            item for item in policy.get("Expression", []) if "environment" not in item["TagKey"]
        ]


def _iceberg(templates: Templates) -> None:
    for table in _each(templates, "Glue::Table"):
        table["OpenTableFormatInput"] = {"IcebergInput": {"MetadataOperation": "CREATE"}}


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
    "S3.8": _public_buckets,
    "S3.9": _drop("S3::Bucket", "LoggingConfiguration"),
    "S3.12": _put(
        "S3::Bucket", "OwnershipControls", {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    ),
    "S3.13": _drop("S3::Bucket", "LifecycleConfiguration"),
    "S3.14": _drop("S3::Bucket", "VersioningConfiguration"),
    "S3.17": _unencrypted_buckets,
    "KMS.1": _decrypting_policy,
    "KMS.2": lambda templates: _allow(_role(templates, "training"), "kms:Decrypt"),
    "KMS.4": _without_rotation,
    "IAM.1": _everything_allowed,
    "Glue.4": _put("Glue::Job", "GlueVersion", "2.0"),
    "EC2.6": _without_flow_logs,
    "EC2.15": _put("EC2::Subnet", "MapPublicIpOnLaunch", True),
    "ECR.1, ECR.2": _mutable_unscanned_images,
    "SNS.4": _public_topics,
    "SQS.1": _put("SQS::Queue", "SqsManagedSseEnabled", False),
    "StepFunctions.1": _put("StepFunctions::StateMachine", "LoggingConfiguration", {}),
    "Lambda.1, Lambda.2": _put("Lambda::Function", "Runtime", "python3.8"),
    "AC-4": _sensitive_readers,
    "AC-5": _registering_approver,
    "AC-6": _wide_policies,
    "IA-2(1)": _without_second_factor,
    "SC-7": _open_groups,
    "SC-28": _without_guardrails,
    "confused-deputy": _without_sources,
    "boundary": _drop("IAM::Role", "PermissionsBoundary"),
    "tag-environment": _any_environment,
    "broken-type": _iceberg,
    "settings-by-function": _another_administrator,
    "retain": _lost_with_the_stack,
    "budget": _put("Budgets::Budget", "NotificationsWithSubscribers", []),
}
