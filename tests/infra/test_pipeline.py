"""The Pipeline stack: the compiled definition, and roles that may do what its jobs need."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sashiko.account.names import bucket_name, pipeline_name
from sashiko.errors import InputError
from sashiko.pipeline.compiled import CompiledPipeline, pipeline_modules
from tests.infra.job_requests import NAMES, Json, context, denials, jobs_of
from tests.infra.variants import named, only, pipelines_of, principals_of, recipes_of, settings_of

ARTIFACTS = bucket_name(settings_of("dev"), "artifacts")
S3 = "s3.us-east-1.amazonaws.com"
KEY = "arn:aws:kms:us-east-1:{account}:key/0a1b2c3d-1234-1234-1234-0a1b2c3d4e5f"
Templates = Callable[[str], dict[str, Json]]
MODULES = pipeline_modules(settings_of("dev"))


def pipeline(templates: Templates, variant: str = "dev", *, module: str = "finetune") -> Json:
    """The properties of a variant's pipeline."""
    settings = settings_of(variant)
    suffix = "" if module == "finetune" else module
    name = pipeline_name(settings, settings.recipe, module=suffix)
    return named(templates(variant)["Pipeline"], "AWS::SageMaker::Pipeline", "PipelineName")[name]


def deployed(templates: Templates, variant: str = "dev", *, module: str = "finetune") -> Json:
    """The definition as CloudFormation would hand it over, each output as its own reference."""
    body = pipeline(templates, variant, module=module)["PipelineDefinition"]
    text, values = body["PipelineDefinitionBody"]["Fn::Sub"]
    outputs = {name: item["Fn::GetStackOutput"]["OutputName"] for name, item in values.items()}
    filled = re.sub(r"\$\{(\w+)\}", lambda match: outputs[match[1]], text.replace("${!", "${"))
    return dict(json.loads(filled))


def all_jobs(templates: Templates, variant: str = "dev") -> dict[str, Json]:
    """Step -> arguments, of all pipelines."""
    definitions = [deployed(templates, variant, module=module) for module in MODULES]
    return {name: job for each in definitions for name, job in jobs_of(each).items()}


def jobs_in(templates: Templates, variant: str) -> dict[str, Json]:
    """Step -> arguments, of all pipelines, with ids of the form that AWS's have."""
    text = json.dumps(all_jobs(templates, variant))
    key = KEY.format(account=settings_of(variant).account)
    for pattern, value in (
        (r"PublishOutput\w*?GetAtt(?:Capture)?Key\w+", key),
        (r"PublishOutput\w*?Subnet\w+", "subnet-0a1b2c3d4e5f60718"),
        (r"PublishOutput\w*?(?:Jobs|Nodes)Group\w+", "sg-0a1b2c3d4e5f60718"),
    ):
        text = re.sub(pattern, value, text)
    return dict(json.loads(text))


@pytest.fixture(scope="module")
def jobs(templates: Templates) -> dict[str, Json]:
    return jobs_in(templates, "dev")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("variant", ["dev", "prod", "iam_only"])
def test_the_body_is_the_compiled_definition_with_references_in_it(
    templates: Templates, variant: str, module: str
) -> None:
    both = pipelines_of(settings_of(variant), recipes_of(settings_of(variant)))
    (compiled,) = (item for item in both if item.module == module)
    body = deployed(templates, variant, module=module)

    text = json.dumps(compiled.definition)
    for stand_in, kind in (
        ("DeployTime-Subnet-a", "Subnet1"),
        ("DeployTime-Subnet-b", "Subnet2"),
        ("DeployTime-SecurityGroup", "JobsGroupId"),
        ("DeployTime-NodesGroup", "NodesGroupId"),
        ("DeployTime-Key-ml", "Keyml"),
        ("DeployTime-Key-snapshots", "Keysnapshots"),
        ("DeployTime-Key-lake", "Keylake"),
        ("DeployTime-Key-capture", "CaptureKey"),
        ("DeployTime-TrackingUri", "TrackingApp"),
    ):
        (name,) = set(re.findall(rf"PublishOutput\w*{kind}\w*", json.dumps(body))) or {stand_in}
        text = text.replace(f'"{stand_in}"', f'"{name}"')
    assert body == json.loads(text)
    assert "DeployTime" not in json.dumps(body)


def test_the_pipeline_runs_as_its_role_under_a_known_name_and_says_its_commit(
    templates: Templates,
) -> None:
    properties = pipeline(templates)
    assert properties["PipelineName"] == "sashiko-dev-complaints"
    assert properties["RoleArn"] == "arn:aws:iam::111122223333:role/sashiko-dev-pipeline"
    tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
    assert tags.keys() == {"project", "environment", "git-commit"}
    assert re.fullmatch(r"([0-9a-f]{40}|unknown)(-dirty)?", tags["git-commit"])


def _built(**changes: Any) -> Json:
    """The body of a pipeline that is changed before it is put into a stack."""
    from aws_cdk import Stack

    from sashiko_cdk.pipeline.compiled_pipeline import Compiled, CompiledPipeline
    from tests.infra.variants import new_app

    compiled = Compiled(recipe="r", module="finetune", definition=changes, commit="unknown")
    app = new_app()
    CompiledPipeline(
        Stack(app, "S"), "P", settings=settings_of("dev"), compiled=compiled, values={}
    )
    (stack,) = app.synth().stacks
    return dict(only(stack.template, "AWS::SageMaker::Pipeline")["PipelineDefinition"])


def test_a_body_of_more_than_200_kb_fails_synth() -> None:
    fits = _built(Steps=["x" * 199_000])
    assert len(fits["PipelineDefinitionBody"]) < 200_000
    with pytest.raises(
        InputError, match=r"pipelines/finetune.py, recipe r: .* more than 200,000: "
    ):
        _built(Steps=["x" * 200_000])


def test_a_stand_in_that_no_stack_fills_fails_synth() -> None:
    with pytest.raises(InputError, match="holds DeployTime-Key-lake, for which"):
        _built(Steps=["DeployTime-Key-lake"])


def test_a_definition_that_sagemaker_would_refuse_fails_synth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sashiko.pipeline import compiled as compiler

    compiled, *others = pipelines_of(settings_of("dev"), recipes_of(settings_of("dev")))
    definition = json.dumps(compiled.definition).replace("ml.g5.xlarge", "ml.g5.xlage")
    invalid = CompiledPipeline(definition=definition, channels=())
    monkeypatch.setattr(compiler, "compile_pipelines", lambda *_, **__: (invalid, *others))
    with pytest.raises(InputError, match=r"step `Train`, .*InstanceType: `ml.g5.xlage` is not"):
        pipelines_of(settings_of("dev"), recipes_of(settings_of("dev")))


def _guardrails(templates: Templates, variant: str = "dev") -> Json:
    roles = named(templates(variant)["Identity"], "AWS::IAM::Role", "RoleName")
    (policy,) = roles[f"sashiko-{settings_of(variant).environment}-pipeline"]["Policies"]
    return dict(policy["PolicyDocument"])


@pytest.mark.parametrize("suffix", NAMES)
@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_the_guardrails_let_every_job_of_the_pipeline_through(
    templates: Templates, variant: str, suffix: str
) -> None:
    jobs, document = jobs_in(templates, variant), _guardrails(templates, variant)
    denied = {name: denials(document, job, suffix) for name, job in jobs.items()}
    assert {name: sids for name, sids in denied.items() if sids} == {}
    assert len(jobs) > 18


FOREIGN = KEY.format(account="999999999999")
CLUSTER = ("ProcessingResources", "ClusterConfig")
# What is changed in Prepare's request, and what then denies it. A path's end goes for None.
VIOLATIONS: dict[str, tuple[tuple[str, ...], Any, set[str]]] = {
    "no VPC": (("NetworkConfig", "VpcConfig"), None, {"InTheVpc", "InAGroup"}),
    "no subnet": (("NetworkConfig", "VpcConfig", "Subnets"), None, {"InTheVpc"}),
    "no group": (("NetworkConfig", "VpcConfig", "SecurityGroupIds"), None, {"InAGroup"}),
    "no volume key": ((*CLUSTER, "VolumeKmsKeyId"), None, {"VolumeKeyGiven"}),
    "another's volume key": ((*CLUSTER, "VolumeKmsKeyId"), FOREIGN, {"VolumeKeyOurs"}),
    "no output key": (
        ("ProcessingOutputConfig", "KmsKeyId"), None, {"OutputKeyGiven", "OutputKeyOurs"},
    ),
    "another's output key": (("ProcessingOutputConfig", "KmsKeyId"), FOREIGN, {"OutputKeyOurs"}),
    "traffic not stated": (
        ("NetworkConfig", "EnableInterContainerTrafficEncryption"), None, {"TrafficSaid"},
    ),
    "traffic in the clear": (
        ("NetworkConfig", "EnableInterContainerTrafficEncryption"), False, {"TrafficEncrypted"},
    ),
    "another instance": ((*CLUSTER, "InstanceType"), "ml.m5.24xlarge", {"KnownInstances"}),
    "no end": (("StoppingCondition",), None, {"EndSaid"}),
    "too long": (("StoppingCondition", "MaxRuntimeInSeconds"), 14_401, {"EndsInTime"}),
}  # fmt: skip


@pytest.mark.parametrize("name", VIOLATIONS)
@pytest.mark.control("SC-28")
def test_one_violation_alone_is_denied(
    templates: Templates, jobs: dict[str, Json], name: str
) -> None:
    path, value, expected = VIOLATIONS[name]
    job = copy.deepcopy(jobs["Prepare"])
    *parents, last = path
    place = job
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert denials(_guardrails(templates), job) == expected
    by_arn = {sid.replace("VolumeKeyOurs", "VolumeArnOurs") for sid in expected}
    assert denials(_guardrails(templates), job, "Arn") == by_arn


def test_a_training_job_is_held_to_the_same(templates: Templates, jobs: dict[str, Json]) -> None:
    """Its request says these things elsewhere; a disk of its own needs no key, another one does."""
    job = copy.deepcopy(jobs["Train"])
    assert "sagemaker:VolumeKmsKey" not in context(job)
    job["ResourceConfig"]["InstanceType"] = "ml.m5.2xlarge"
    assert denials(_guardrails(templates), job) == {"VolumeKeyGiven"}
    del job["VpcConfig"], job["EnableInterContainerTrafficEncryption"]
    assert {"InTheVpc", "InAGroup", "TrafficSaid"} <= denials(_guardrails(templates), job)


def test_the_pipeline_passes_the_roles_of_its_jobs_and_no_other(
    templates: Templates, jobs: dict[str, Json]
) -> None:
    (statement,) = [
        item for item in _guardrails(templates)["Statement"] if item["Action"] == "iam:PassRole"
    ]
    assert {job["RoleArn"] for job in jobs.values()} == set(statement["Resource"])


def test_who_writes_and_who_reads_may_use_the_key(templates: Templates) -> None:
    """Each job its output's and its volume's; who reads an output the one that it lies under."""
    keys = {
        name: f"<sashiko-dev-DataLake.{'.'.join(item['Value']['Fn::GetAtt'])}>"
        for name, item in templates("dev")["DataLake"]["Outputs"].items()
    }
    principals = principals_of("dev")
    jobs = all_jobs(templates)
    under = {
        name: keys[(job.get("ProcessingOutputConfig") or job["OutputDataConfig"])["KmsKeyId"]]
        for name, job in jobs.items()
    }
    denied = []
    for name, job in jobs.items():
        role = principals[job["RoleArn"].rpartition("-dev-")[2]]
        needed = [("kms:GenerateDataKey", under[name]), ("kms:Encrypt", under[name])]
        cluster = job.get("ProcessingResources", {}).get("ClusterConfig", {})
        if volume := cluster.get("VolumeKmsKeyId"):
            needed.append(("kms:CreateGrant", keys[volume]))
            granted = {"kms:GrantIsForAWSResource": "true"}
            assert principals["pipeline"].may("kms:CreateGrant", keys[volume], granted)
        read = set(re.findall(r"Steps\.(\w+)\.", json.dumps(job)))
        needed += [("kms:Decrypt", under[step]) for step in read]
        context = {"kms:GrantIsForAWSResource": "true"}
        denied += [(name, *one) for one in needed if not role.may(*one, context)]
    assert denied == []


@pytest.mark.parametrize("domain", ["ml", "snapshots"])
def test_the_gatekeeper_opens_artifacts_and_no_snapshot_and_the_pipeline_neither(
    templates: Templates, domain: str
) -> None:
    outputs = templates("dev")["DataLake"]["Outputs"]
    (output,) = [name for name in outputs if f"Key{domain}" in name]
    # Another stack knows the key by the output, its own by the attribute.
    names = [output, ".".join(outputs[output]["Value"]["Fn::GetAtt"])]
    keys = [f"<sashiko-dev-DataLake.{name}>" for name in names]

    def opens(role: str, bucket: str, *, through: str) -> bool:
        context = {
            "kms:ViaService": through,
            "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
        }
        return any(principals_of("dev")[role].may("kms:Decrypt", key, context) for key in keys)

    snapshots = bucket_name(settings_of("dev"), "snapshots")
    assert opens("gatekeeper", ARTIFACTS, through=S3)
    assert not opens("gatekeeper", snapshots, through=S3)
    assert not opens("gatekeeper", ARTIFACTS, through="athena.us-east-1.amazonaws.com")
    assert not opens("pipeline", ARTIFACTS, through=S3)
