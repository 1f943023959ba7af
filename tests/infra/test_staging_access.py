"""Who stages what a run reads, who may look at it, and who starts a run."""

from dataclasses import replace

import pytest

from sashiko.account.access.environment_access import Environment, Principal
from sashiko.account.access.policy_evaluation import Request, allows, denies, statements
from sashiko.account.names import bucket_name
from tests.infra.variants import environment_of, settings_of

ARTIFACTS = bucket_name(settings_of("dev"), "artifacts")
KEY = "arn:aws:kms:us-east-1:111122223333:key/0123"
STAGED = ("code/*", "config/*", "source/*", "weights/*")
MARKER = "monitor/sashiko-dev-complaint-triage/windows/none.json"  # no window was judged yet


@pytest.fixture(scope="module")
def dev() -> Environment:
    return environment_of("dev")


def _allowed(environment: Environment, role: str, action: str, bucket: str) -> tuple[str, ...]:
    return environment.object_paths(_role(environment, role), action, bucket)


def _role(environment: Environment, name: str) -> Principal:
    (role,) = (role for role in environment.principals if role.name == name)
    return role


def _handed_everything(environment: Environment, name: str) -> Principal:
    """A role to which a later policy allows all: what it is denied is what is left."""
    anything = statements({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    role = _role(environment, name)
    return replace(role, policy=(*role.policy, *anything), boundary=None)


def test_the_deployer_reads_and_writes_what_it_stages_and_reads_nothing_else(
    dev: Environment,
) -> None:
    assert _allowed(dev, "deployer", "s3:GetObject", ARTIFACTS) == STAGED
    # Without monitoring there is no marker.
    assert {*_allowed(dev, "deployer", "s3:PutObject", ARTIFACTS), MARKER} == {*STAGED, MARKER}
    raw = bucket_name(dev.settings, "raw")
    assert _allowed(dev, "deployer", "s3:PutObject", raw) == ("census/*", "complaints/*")
    lake = [bucket_name(dev.settings, name) for name in ("raw", "curated", "snapshots")]
    others = [f"{ARTIFACTS}/models/x/model.tar.gz", f"{ARTIFACTS}/runs/x/Train/output/model.tar.gz"]
    deployer = _handed_everything(dev, "deployer")
    for place in (*(f"{bucket}/complaints/x" for bucket in lake), *others):
        assert not deployer.may("s3:GetObject", f"arn:aws:s3:::{place}"), place
    assert deployer.may("s3:GetObject", f"arn:aws:s3:::{ARTIFACTS}/weights/x/config.json")


def test_where_data_are_kept_the_deployer_loads_none() -> None:
    prod = environment_of("prod")
    assert _allowed(prod, "deployer", "s3:PutObject", bucket_name(prod.settings, "raw")) == ()


def test_the_deployer_decrypts_as_the_artifacts_bucket_alone(dev: Environment) -> None:
    deployer = _handed_everything(dev, "deployer")

    def decrypts(**context: str) -> bool:
        request = Request(action="kms:Decrypt", resource=KEY, context=context, complete=True)
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
    person = _role(dev, "data-scientist")
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
