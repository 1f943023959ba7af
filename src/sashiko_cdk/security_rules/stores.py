"""Rules of data stores: encryption keys and retention."""

from collections.abc import Iterator, Sequence

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, text, values_at

# Where each store names its KMS key.
_KEYS = {
    "AWS::Athena::WorkGroup": [
        "WorkGroupConfiguration.ResultConfiguration.EncryptionConfiguration.KmsKey"
    ],
    "AWS::ECR::Repository": ["EncryptionConfiguration.KmsKey"],
    "AWS::Glue::Job": ["SecurityConfiguration"],
    "AWS::Glue::SecurityConfiguration": [
        "EncryptionConfiguration.CloudWatchEncryption.KmsKeyArn",
        "EncryptionConfiguration.JobBookmarksEncryption.KmsKeyArn",
        "EncryptionConfiguration.S3Encryptions.*.KmsKeyArn",
    ],
    "AWS::Logs::LogGroup": ["KmsKeyId"],
    "AWS::S3::Bucket": [
        "BucketEncryption.ServerSideEncryptionConfiguration.*."
        "ServerSideEncryptionByDefault.KMSMasterKeyID"
    ],
    "AWS::SNS::Topic": ["KmsMasterKeyId"],
    "AWS::SQS::Queue": ["KmsMasterKeyId"],
    "AWS::SageMaker::EndpointConfig": ["KmsKeyId"],
}
STATEFUL = frozenset(
    {
        "AWS::ECR::Repository",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::KMS::Key",
        "AWS::LakeFormation::Tag",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SageMaker::ModelPackageGroup",
        "Custom::DataLakeSettings",
    }
)
_KEPT = frozenset({"Retain", "RetainExceptOnCreate"})


def _unencrypted(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for path in _KEYS.get(resource.kind, []):
            keys = [text(key) for key in values_at(resource.properties, path)]
            if not keys or any(key.startswith("alias/aws/") for key in keys):
                where = "Properties/" + path.replace(".*", "").replace(".", "/")
                yield Finding(resource=resource, where=where)


def _not_kept(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        named_role = resource.kind == "AWS::IAM::Role" and "RoleName" in resource.properties
        if resource.kind in STATEFUL or named_role:
            if resource.deletion not in _KEPT:
                yield Finding(resource=resource, where="DeletionPolicy")
            if resource.replacement not in _KEPT:
                yield Finding(resource=resource, where="UpdateReplacePolicy")


RULES = (
    Rule(
        name="customer-key",
        description="A store is not encrypted with a key of this project.",
        fix="Give it the key of its domain.",
        check=_unencrypted,
    ),
)
# Only for environments that retain their data.
RETAIN = Rule(
    name="retain",
    description="A stateful resource would be lost with its stack, or when it is replaced.",
    fix="Apply the stack's removal_policy to it.",
    check=_not_kept,
)
