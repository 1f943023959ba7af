"""Each rule fails synth on an example of what it is about, and says which resource."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

from tests.infra.variants import output_of
from tests.project_root import REPOSITORY

ROOT = Path.cwd()  # tests/conftest.py: with the samples
# Rule -> resources of which the first breaks it.
DATA = {"DatabaseName": "sashiko_dev", "Name": "loans"}
WHO = {"DataLakePrincipalIdentifier": "arn:aws:iam::111122223333:role/sashiko-dev-data-scientist"}
ALLOWS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/x"}
TRUST = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "glue.amazonaws.com"},
}
JOB = {"Command": {"Name": "glueetl"}, "Role": "arn:aws:iam::111122223333:role/sashiko-dev-etl"}
ROLE = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [TRUST]}}


def _resource(kind, **properties):
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _policy(**change):
    document = {"Version": "2012-10-17", "Statement": [ALLOWS | change]}
    return _resource("S3::BucketPolicy", Bucket="b", PolicyDocument=document)


def _tag_grant(*tags, permission="SELECT", principal=WHO["DataLakePrincipalIdentifier"]):
    expression = [{"TagKey": key, "TagValues": values} for key, values in tags]
    policy = {"CatalogId": "111122223333", "ResourceType": "TABLE", "Expression": expression}
    return _resource(
        "LakeFormation::PrincipalPermissions",
        Principal={"DataLakePrincipalIdentifier": principal},
        Resource={"LFTagPolicy": policy},
        Permissions=[permission],
        PermissionsWithGrantOption=[],
    )


def _filter_grant():
    data_filter = {
        "DatabaseName": "sashiko_dev", "TableName": "loans", "Name": "f",
        "TableCatalogId": "111122223333",
    }  # fmt: skip
    return _resource(
        "LakeFormation::PrincipalPermissions",
        Principal=WHO,
        Resource={"DataCellsFilter": data_filter},
        Permissions=["SELECT"],
        PermissionsWithGrantOption=[],
    )


BOTH = (("sashiko-sensitivity", ["none"]), ("sashiko-environment", ["dev"]))
BROKEN = {
    "wildcard[Action::s3:*]": _policy(Action="s3:*", Principal={"AWS": "111122223333"}),
    "public": _policy(Principal="*"),
    "confused-deputy": _resource("IAM::Role", **ROLE),
    "boundary": _resource(
        "IAM::Role", **ROLE, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
    ),
    "customer-key": _resource("Logs::LogGroup", LogGroupName="x"),
    "retain": _resource("Glue::Database", CatalogId="111122223333", DatabaseInput={"Name": "x"}),
    "row-filter": _tag_grant(*BOTH),
    "tag-environment": _tag_grant(BOTH[0]),
    "broken-type": _resource("S3Tables::TableBucket", TableBucketName="sashiko-dev-tables"),
    "settings-by-function": _resource("LakeFormation::DataLakeSettings", Admins=[]),
    "internet": _resource("EC2::InternetGateway"),
    "foreign-network": _resource(
        "SageMaker::Model",
        VpcConfig={"Subnets": ["subnet-0123456789abcdef0"], "SecurityGroupIds": ["sg-1"]},
    ),
    "open-group": _resource("EC2::SecurityGroup", GroupDescription="x", VpcId="vpc-1"),
    "model-isolation": _resource("SageMaker::Model", ExecutionRoleArn="arn:aws:iam::1:role/x"),
    # cdk-nag's: the same promise, kept by its pack.
    "AwsSolutions-IAM5[Resource::*]": _resource(
        "IAM::ManagedPolicy",
        PolicyDocument={"Version": "2012-10-17", "Statement": [ALLOWS | {"Resource": "*"}]},
    ),
    "capture-key": _resource(
        "SageMaker::EndpointConfig",
        KmsKeyId="alias/sashiko-dev-ml",
        ProductionVariants=[{"VariantName": "primary", "ModelName": "m"}],
        DataCaptureConfig={
            "InitialSamplingPercentage": 5,
            "DestinationS3Uri": "s3://capture/x",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
    ),
    "async-failure": _resource(
        "SageMaker::EndpointConfig",
        KmsKeyId="alias/sashiko-dev-ml",
        ProductionVariants=[{"VariantName": "primary", "ModelName": "m"}],
        AsyncInferenceConfig={
            "OutputConfig": {"S3OutputPath": "s3://capture/x", "KmsKeyId": "alias/sashiko-dev-x"}
        },
    ),
    "async-wake": _resource(
        "ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace="sagemaker",
        ResourceId="endpoint/x/variant/primary",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=0,
        MaxCapacity=2,
    ),
    "endpoint-update": _resource(
        "SageMaker::Endpoint", EndpointConfigName="c", RetainAllVariantProperties=True
    ),
    "model-source": _resource(
        "SageMaker::Model", PrimaryContainer={"Image": "1.dkr.ecr.us-east-1.amazonaws.com/x:latest"}
    ),
    "AwsSolutions-IAM4[Policy::arn:aws:iam::aws:policy/AWSGlueServiceRole]": _resource(
        "IAM::Role", **ROLE, ManagedPolicyArns=["arn:aws:iam::aws:policy/AWSGlueServiceRole"]
    ),
    "AwsSolutions-GL1": _resource("Glue::Job", **JOB),
    "AwsSolutions-GL3": _resource("Glue::Job", **JOB),
    "AwsSolutions-S10": _resource("S3::Bucket"),
    "AwsSolutions-S2": _resource(
        "S3::Bucket",
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": False,
        },
    ),
    "AwsSolutions-KMS5": _resource(
        "KMS::Key", KeyPolicy={"Version": "2012-10-17", "Statement": []}
    ),
}
# cdk-nag knows resources by their class, so that each is made by its own, not as a generic one.
SYNTH = """
import json, sys
from aws_cdk import App, Stack
from aws_cdk.cloudformation_include import CfnInclude
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.security_rules.plugin import add_rules
app = App(outdir=sys.argv[1])
template = CfnInclude(Stack(app, "Stack"), "T", template_file=sys.argv[1] + "/given.json")
for id_, reasons in json.load(sys.stdin).items():
    acknowledge(template.get_resource(id_), reasons)
add_rules(app, retains=True)
app.synth()
"""
# Each pack that has rules has their examples too.
for _module in sorted((REPOSITORY / "tests/packs").glob("*/rule_examples.py")):
    BROKEN |= runpy.run_path(str(_module))["BROKEN"]


def _synth(folder, resources, reasons=None):
    (folder / "given.json").write_text(json.dumps({"Resources": resources}))
    process = output_of(
        [sys.executable, "-c", SYNTH, str(folder)],
        input=json.dumps(reasons or {}),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/src"},
    )
    report = json.loads((folder / "validation-report.json").read_text())
    findings = {
        (violation["ruleName"], construct["constructPath"].removeprefix("Stack/T/"))
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    return process, findings


def _id(rule):
    return "".join(filter(str.isalnum, rule))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One synth of all examples: (process, findings as (rule, resource))."""
    filtered = {"Filtered": _filter_grant()}
    examples = {_id(rule): value for rule, value in BROKEN.items()}
    return _synth(tmp_path_factory.mktemp("broken"), examples | filtered)


def test_a_finding_fails_synth(broken):
    process, _ = broken
    assert process.returncode != 0
    assert "ValidationFailed" in process.stderr


# The controls that a rule proves beside its own.
ALSO = {
    "public": ["S3.2", "S3.3"],
    "customer-key": ["S3.17"],
    "internet": ["EC2.15"],
    "open-group": ["SC-7"],
    "wildcard": ["AC-6"],
    "IAM5": ["AC-6"],
    "S10": ["S3.5"],
    "S2": ["S3.2", "S3.3", "S3.8"],
    "KMS5": ["KMS.4"],
}


def _marked(rule):
    id_ = rule.removeprefix("AwsSolutions-").partition("[")[0]
    return pytest.param(rule, marks=pytest.mark.control(id_, *ALSO.get(id_, [])))


@pytest.mark.parametrize("rule", [_marked(rule) for rule in BROKEN])
def test_each_rule_finds_its_example(broken, rule):
    assert (rule, _id(rule)) in broken[1]


def test_an_acknowledgement_excuses_the_one_resource_it_is_on(tmp_path):
    policies = {"One": BROKEN["public"], "Two": BROKEN["public"]}
    process, findings = _synth(tmp_path, policies, {"One": {"public": "as a test"}})
    assert process.returncode != 0
    assert ("public", "Two") in findings
    assert ("public", "One") not in findings


def _association(resource, **tags):
    return _resource(
        "LakeFormation::TagAssociation",
        Resource=resource,
        LFTags=[{"TagKey": f"sashiko-{key}", "TagValues": [value]} for key, value in tags.items()],
    )


@pytest.mark.parametrize(
    ("grant", "undoes"),
    [
        (_tag_grant(*BOTH), True),  # by the column's tag
        (_tag_grant(("sashiko-sensitivity", ["sensitive"]), BOTH[1]), False),
        (_tag_grant(BOTH[0], ("sashiko-environment", ["prod"])), False),
        (_tag_grant(("sashiko-sensitivity", ["pii"]), BOTH[1]), True),  # inherited
        (_tag_grant(*BOTH, permission="SUPER"), True),
        (_tag_grant(*BOTH, permission="DESCRIBE"), False),
        (_tag_grant(*BOTH, principal="arn:aws:iam::111122223333:role/sashiko-dev-broker"), False),
        (_tag_grant(*BOTH, principal="IAM_ALLOWED_PRINCIPALS"), True),
        (_tag_grant(*BOTH, principal="111122223333:IAMPrincipals"), True),
    ],
)
def test_a_row_filter_stands_beside_tag_grants_that_do_not_match_its_table(grant, undoes, tmp_path):
    column = DATA | {"CatalogId": "111122223333", "ColumnNames": ["amount"]}
    template = {
        "Filter": _filter_grant(),
        "Grant": grant,
        "Database": _association({"Database": {"Name": "sashiko_dev"}}, environment="dev"),
        "Table": _association({"Table": DATA}, sensitivity="pii"),
        "Column": _association({"TableWithColumns": column}, sensitivity="none"),
    }
    assert _broken_by("row-filter", template, tmp_path) == (["Grant"] if undoes else [])


def _broken_by(name, template, folder):
    """Logical ids of what a rule of Lake Formation finds, without a synth."""
    from sashiko_cdk.security_rules.rules import RULES, read_resources

    (folder / "t.json").write_text(json.dumps({"Resources": template}))
    rule = next(rule for rule in RULES if rule.name == name)
    return [f.resource.logical_id for f in rule.check(read_resources([str(folder / "t.json")]))]


@pytest.mark.parametrize(
    ("tagged", "environments", "expected"),
    [
        ("dev", [["dev"]], []),
        ("dev", [["prod"]], ["Grant"]),
        ("dev", [["dev", "prod"]], ["Grant"]),
        ("dev", [], ["Grant"]),
        # Where no template tags the database, which one it is remains open.
        (None, [["prod"]], []),
        (None, [["dev", "prod"]], ["Grant"]),
    ],
)
def test_a_grant_by_tags_names_its_own_environment_alone(tagged, environments, expected, tmp_path):
    tags = [("sashiko-environment", values) for values in environments]
    template = {"Grant": _tag_grant(BOTH[0], *tags)}
    if tagged:
        database = {"Database": {"Name": "sashiko_dev"}}
        template["Database"] = _association(database, environment=tagged)
    assert _broken_by("tag-environment", template, tmp_path) == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"TableInput": {"Parameters": {"classification": "parquet"}}}, []),
        ({"TableInput": {"Parameters": {"table_type": "iceberg"}}}, ["Table"]),
        ({"OpenTableFormatInput": {"IcebergInput": {"MetadataOperation": "CREATE"}}}, ["Table"]),
    ],
)
def test_a_table_whose_metadata_an_update_would_strip_is_a_finding(properties, expected, tmp_path):
    table = _resource("Glue::Table", **properties)
    assert _broken_by("broken-type", {"Table": table}, tmp_path) == expected
