"""The check on a device: what its role may make, and what it may not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sashiko.account.access.environment_access import Environment, Principal
from sashiko.account.access.policy_evaluation import Request, allows, covers, denies, statements
from sashiko.account.names import bucket_name
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.artifact_access import Places, artifact_places
from sashiko_cdk.identity.role_permissions import device_actions, device_permissions
from sashiko_cdk.network.isolated_network import interfaces
from tests.infra.variants import (
    complete_request,
    environment_of,
    of_pack,
    pipelines_of,
    principals_of,
    recipes_of,
    resources,
    settings_of,
    templates_of,
)

PLACE = "arn:aws:sagemaker:us-east-1:111122223333"
OURS = "sashiko-devicecheck-dev-abc123def456"
KEY = "arn:aws:kms:us-east-1:111122223333:key/1"
MODEL = {
    "sagemaker:NetworkIsolation": "true",
    "sagemaker:VpcSubnets": "subnet-1",
    "sagemaker:VpcSecurityGroupIds": "sg-1",
}
CONFIG = {"sagemaker:InstanceTypes": "ml.inf2.xlarge", "sagemaker:VolumeKmsKey": KEY}
BY_ARN = {"sagemaker:InstanceTypes": "ml.inf2.xlarge", "sagemaker:VolumeKmsKeyArn": KEY}


@pytest.fixture(scope="module")
def role() -> Principal:
    return principals_of("dev")["device-check"]


def with_check(mode: str) -> Settings:
    settings: Settings = settings_of("dev")
    return settings.model_copy(update={"device_check": mode})


def model_places(settings: Settings) -> Places:
    compiled, *_ = pipelines_of(settings, recipes_of(settings))
    return artifact_places(settings, [parse_definition(compiled.definition)])["inference"]


def creates(action: str, request: dict[str, str]) -> bool:
    """Whether the role may create it, by IAM's meaning of a key that the request lacks."""
    allowed = [
        item.statement.to_statement_json()
        for item in device_permissions(settings_of("dev"))
        if action in str(item.statement.to_statement_json()["Action"])
    ]
    assert allowed
    return any(
        all(
            _holds(operator, request.get(key), operand)
            for operator, pairs in statement["Condition"].items()
            for key, operand in pairs.items()
        )
        for statement in allowed
    )


def _holds(operator: str, value: str | None, operand: Any) -> bool:
    if operator == "Null":
        return (value is None) == (operand == "true")
    if operator == "ForAllValues:StringEquals":
        return value is None or value in operand  # true of no values at all
    return (
        value is not None
        and {"Bool": value == operand, "ArnLike": covers(str(operand), value)}[operator]
    )


def test_a_model_is_isolated_and_in_the_vpc_and_its_instance_known_and_encrypted() -> None:
    model, config = "sagemaker:CreateModel", "sagemaker:CreateEndpointConfig"
    assert creates(model, MODEL)
    assert creates(config, CONFIG)
    assert creates(config, BY_ARN)
    foreign = {"sagemaker:VolumeKmsKeyArn": "arn:aws:kms:us-east-1:999999999999:key/1"}
    assert not creates(config, BY_ARN | foreign)
    for left_out in MODEL:
        assert not creates(model, {k: v for k, v in MODEL.items() if k != left_out}), left_out
    for left_out in CONFIG:
        assert not creates(config, {k: v for k, v in CONFIG.items() if k != left_out}), left_out
    assert not creates(model, MODEL | {"sagemaker:NetworkIsolation": "false"})
    assert not creates(config, CONFIG | {"sagemaker:InstanceTypes": "ml.inf2.48xlarge"})


def test_it_touches_nothing_that_is_served_and_passes_one_role(role: Principal) -> None:
    for kind, name in (("endpoint", "Endpoint"), ("endpoint-config", "EndpointConfig")):
        assert role.may(f"sagemaker:Delete{name}", f"{PLACE}:{kind}/{OURS}")
        for other in ("sashiko-dev-triage", "sashiko-devicecheck-prod-abc123def456"):
            assert not role.may(f"sagemaker:Delete{name}", f"{PLACE}:{kind}/{other}")
    assert not role.may("sagemaker:InvokeEndpoint", f"{PLACE}:endpoint/sashiko-dev-triage")
    assert not role.may("sagemaker:UpdateEndpoint", f"{PLACE}:endpoint/{OURS}")
    to = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    passed = [
        name
        for name in ("inference", "training", "registrar", "device-check")
        if role.may("iam:PassRole", f"arn:aws:iam::111122223333:role/sashiko-dev-{name}", to)
    ]
    assert passed == ["inference"]


@pytest.mark.slow  # three synths more
def test_another_way_takes_other_rights_and_off_takes_none() -> None:
    endpoint, transform, off = (with_check(mode) for mode in ("endpoint", "transform", "off"))
    assert device_permissions(off) == []
    assert "device-check" not in interfaces(off)["sagemaker.api"].callers
    doors: dict[str, Any] = {
        mode: interfaces(with_check(mode)) for mode in ("endpoint", "transform")
    }
    assert "sagemaker.runtime" in doors["endpoint"]
    assert "sagemaker.runtime" not in doors["transform"]
    batch = set(device_actions(transform)) - set(device_actions(endpoint))
    assert batch == {
        "sagemaker:CreateTransformJob",
        "sagemaker:DescribeTransformJob",
        "sagemaker:StopTransformJob",
    }
    assert "sagemaker:CreateEndpoint" not in device_actions(transform)
    # A batch job reads and writes with the model's role; an endpoint's model writes nothing.
    scratch = "runs/*/DeviceCheck/transform/*"
    assert model_places(endpoint).writes == ()
    assert model_places(endpoint).reads == ("models/*", "runs/*/Compile/artifact/*")
    assert model_places(transform).writes == (scratch,)
    assert model_places(transform).reads == ("models/*", "runs/*/Compile/artifact/*", scratch)
    assert model_places(off).reads == ("models/*",)


def test_each_hour_the_janitor_gets_the_prefix_and_the_age_of_leftovers() -> None:
    platform = templates_of("dev")["Platform"]
    (rule,) = [
        item["Properties"]
        for item in resources(platform, "AWS::Events::Rule").values()
        if "ScheduleExpression" in item["Properties"]
    ]
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    (target,) = rule["Targets"]
    before, topic, after = target["Input"]["Fn::Join"][1]
    event = json.loads(f"{before}topic{after}")
    assert "Ref" in topic
    assert event["prefix"] == "sashiko-devicecheck-dev-"
    assert f"{event['prefix']}abc123def456" == OURS
    # A check's own job has ended by then.
    assert event["older_than"] > settings_of("dev").jobs.processing.max_runtime
    (function,) = [
        logical
        for logical, item in resources(platform, "AWS::Lambda::Function").items()
        if item["Properties"]["FunctionName"] == "sashiko-dev-janitor"
    ]
    callers = resources(platform, "AWS::Lambda::Permission").values()
    assert [item for item in callers if item["Properties"]["FunctionName"] == {"Ref": function}]


def test_the_janitor_deletes_what_a_check_made_and_makes_nothing() -> None:
    janitor = principals_of("dev")["janitor"]
    for kind, name in (("model", "Model"), ("endpoint", "Endpoint")):
        assert janitor.may(f"sagemaker:Delete{name}", f"{PLACE}:{kind}/{OURS}")
        assert not janitor.may(f"sagemaker:Create{name}", f"{PLACE}:{kind}/{OURS}")
        for other in ("sashiko-dev-triage", "sashiko-devicecheck-prod-abc123def456"):
            assert not janitor.may(f"sagemaker:Delete{name}", f"{PLACE}:{kind}/{other}")


ARTIFACTS = bucket_name(settings_of("dev"), "artifacts")
STAGED = ("code/*", "config/*", "source/*", "weights/*")
MARKER = "monitor/sashiko-dev-complaint-triage/windows/none.json"  # no window was judged yet
NO_BATCH = "batch/sashiko-dev-complaint-triage/published/none.json"


@pytest.fixture(scope="module")
def dev() -> Environment:
    return environment_of("dev")


def _allowed(action: str, bucket: str) -> tuple[str, ...]:
    return environment_of("dev").object_paths(principals_of("dev")["deployer"], action, bucket)


@pytest.fixture
def handed_everything() -> Principal:
    """The deployer, to which a later policy allows all: what it is denied is what is left."""
    anything = statements({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    role: Principal = principals_of("dev")["deployer"]
    return replace(role, policy=(*role.policy, *anything), boundary=None)


def test_the_deployer_reads_and_writes_what_it_stages_and_reads_nothing_else(
    dev: Environment, handed_everything: Principal
) -> None:
    assert _allowed("s3:GetObject", ARTIFACTS) == STAGED
    markers = of_pack("monitoring", MARKER) | of_pack("batch", NO_BATCH)
    assert set(_allowed("s3:PutObject", ARTIFACTS)) == {*STAGED} | markers
    raw = bucket_name(dev.settings, "raw")
    assert _allowed("s3:PutObject", raw) == ("census/*", "complaints/*")
    lake = [bucket_name(dev.settings, name) for name in ("raw", "curated", "snapshots")]
    others = [f"{ARTIFACTS}/models/x/model.tar.gz", f"{ARTIFACTS}/runs/x/Train/output/model.tar.gz"]
    deployer = handed_everything
    for place in (*(f"{bucket}/complaints/x" for bucket in lake), *others):
        assert not deployer.may("s3:GetObject", f"arn:aws:s3:::{place}"), place
    assert deployer.may("s3:GetObject", f"arn:aws:s3:::{ARTIFACTS}/weights/x/config.json")


def test_where_data_are_kept_the_deployer_loads_none() -> None:
    prod = environment_of("prod")
    deployer, raw = principals_of("prod")["deployer"], bucket_name(prod.settings, "raw")
    assert prod.object_paths(deployer, "s3:PutObject", raw) == ()


def test_the_deployer_decrypts_as_the_artifacts_bucket_alone(
    dev: Environment, handed_everything: Principal
) -> None:
    deployer = handed_everything

    def decrypts(**context: str) -> bool:
        request = complete_request("kms:Decrypt", KEY, context)
        return allows(deployer.policy, request) and not denies(deployer.policy, request)

    bucket = "kms:encryptioncontext:aws:s3:arn"
    assert decrypts(**{bucket: f"arn:aws:s3:::{ARTIFACTS}"})
    assert not decrypts(**{bucket: f"arn:aws:s3:::{bucket_name(dev.settings, 'raw')}"})
    assert not decrypts()


@pytest.mark.parametrize("folder", ["code", "config", "source", "weights"])
def test_what_is_staged_is_the_deployers_to_write_and_only_once(
    dev: Environment, folder: str
) -> None:
    """Whatever IAM allows: the bucket's policy denies the rest."""
    key = f"arn:aws:s3:::{ARTIFACTS}/{folder}/0123/file"
    policy = dev.buckets[ARTIFACTS]

    def denied(role: str) -> bool:
        arn = dev.settings.role_arn(role)
        statements = [item for item in policy if item.is_for(arn)]
        context = {"aws:principalarn": arn, "aws:securetransport": "true"}
        return denies(statements, Request(action="s3:PutObject", resource=key, context=context))

    assert denied("training")
    assert not denied("deployer")
    (once,) = (
        item
        for item in policy
        if item.conditions == {"Null": {"s3:if-none-match": "true"}}
        and f"arn:aws:s3:::{ARTIFACTS}/{folder}/*" in item.resources
    )
    assert (once.effect, once.actions, once.principals) == ("Deny", ("s3:PutObject",), ("*",))


def test_who_starts_a_run_looks_for_its_inputs_and_reads_its_jobs_logs(dev: Environment) -> None:
    person = principals_of("dev")["data-scientist"]
    stream = "log-group:/aws/sagemaker/ProcessingJobs:log-stream"
    place = f"{dev.settings.region}:{dev.settings.account}"
    pipeline = f"arn:aws:sagemaker:{place}:pipeline/sashiko-dev-complaints"
    for action, resource in (
        ("sagemaker:StartPipelineExecution", pipeline),
        ("sagemaker:StopPipelineExecution", f"{pipeline}/execution/abc"),
        ("sagemaker:DescribePipelineDefinitionForExecution", f"{pipeline}/execution/abc"),
        ("glue:GetJobRuns", f"arn:aws:glue:{place}:job/sashiko-dev-etl-complaints"),
        ("ecr:DescribeImages", f"arn:aws:ecr:{place}:repository/sashiko-dev/job"),
        ("logs:GetLogEvents", f"arn:aws:logs:{place}:{stream}:pipelines-abc-Train-x/algo-1"),
        ("logs:DescribeLogStreams", f"arn:aws:logs:{place}:log-group:/aws/sagemaker/TrainingJobs"),
    ):
        assert person.may(action, resource), action
    for action, resource in (
        ("sagemaker:StartPipelineExecution", pipeline.replace("-dev-", "-prod-")),
        ("sagemaker:UpdatePipeline", pipeline),
        ("glue:StartJobRun", f"arn:aws:glue:{place}:job/sashiko-dev-etl-complaints"),
        ("logs:GetLogEvents", f"arn:aws:logs:{place}:{stream}:another-teams-job/algo-1"),
    ):
        assert not person.may(action, resource), action
    listing = [
        item
        for item in person.policy
        if "s3:ListBucket" in item.actions and f"arn:aws:s3:::{ARTIFACTS}" in item.resources
    ]
    prefixes = {word for item in listing for word in item.conditions["StringLike"]["s3:prefix"]}
    assert set(STAGED) <= prefixes
    assert not any(word.startswith(("models", "runs")) for word in prefixes)
