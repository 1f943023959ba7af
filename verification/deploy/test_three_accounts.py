"""A merge becomes a served model in prod: three accounts, approvals by people, no key that lasts.

Everything but the emulator is the project's own: its repository in git, `make bootstrap` and `make
deploy`, the pipeline that was deployed, and the builds as their specifications have them. No model
is trained: a version is registered by the project's registrar from evidence that was written.
"""

import datetime as dt
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sashiko.account.names import bucket_name, model_package_group_name
from sashiko.base.aws_calls import Clients
from tests.unit.account import two_accounts
from tests.unit.registry.model_packages.account import Account
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.builds import git
from verification.deploy.releases.company import (
    ACCOUNTS,
    DELIVERY,
    PIPELINE,
    SETTINGS,
    Company,
    answer,
    new_company,
)
from verification.deploy.releases.pipeline import Execution, Pipeline

pytestmark = pytest.mark.slow
MODELS = f"{PIPELINE}-models"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with new_company(tmp_path_factory.mktemp("company")) as instance:
        yield instance


def test_a_merge_becomes_a_served_model_in_prod_and_goes_back(
    company: Company, tmp_path: Path
) -> None:
    bare = bootstrap(company)
    pipeline = deploy_pipeline(company)
    deliver_project(company, pipeline)

    versions = [register(company, tmp_path / name, name) for name in ("first", "second")]
    for number in (1, 2):
        decide(company, "dev", number)
    serve(company, pipeline, propose(company, "dev", 2), served=versions[1])

    first, second = (copy_of(arn) for arn in versions)
    promote(company, 1)
    decide(company, "prod", 1)
    serve(company, pipeline, propose(company, "prod", 1), served=first)
    promote(company, 2)
    decide(company, "prod", 2)
    fail_a_canary(company, pipeline, propose(company, "prod", 2), served=second, before=first)
    serve(company, pipeline, roll_back(company), served=first)

    check_keys(company)
    destroy(company)
    for env, account in company.accounts.items():
        assert deployed(account) == []
        assert inventory(account) == bare[env]


def bootstrap(company: Company) -> Mapping[str, Mapping[str, list[str]]]:
    """Prepares the accounts, as docs/delivery.md has it; returns what they hold then."""
    for name, text in SETTINGS.items():
        (company.desk / name).write_text(text)
    (company.desk / "config/delivery.yaml").write_text(DELIVERY)
    for env in ("dev", "prod", "delivery"):
        company.make("bootstrap", env)
    return {env: inventory(account) for env, account in company.accounts.items()}


def deploy_pipeline(company: Company) -> Pipeline:
    """Deploys it, once; it starts, and finds no `config/delivery.yaml` in the repository yet."""
    company.make("deploy", "delivery")
    pipeline = company.pipeline()
    pipeline.run()
    first = pipeline.newest
    assert first.failure[:2] == ("Build", "synth")
    assert "there is no config/delivery.yaml" in first.failure[2]
    return pipeline


def deliver_project(company: Company, pipeline: Pipeline) -> None:
    """Merges the settings: dev is deployed, and prod after a person has allowed it."""
    repository = company.repository
    files = {**SETTINGS, "config/delivery.yaml": DELIVERY}
    repository.commit("Deliver to dev and prod", branch="deliver", files=files)
    commit = repository.merge("deliver")
    assert len(repository.git("rev-list", "--parents", "-1", commit).split()) == 3

    execution = pipeline.push()
    release(company, pipeline, execution)
    assert [item.stage for item in execution.approvals] == ["delivery-approval", "prod-approval"]
    assert endpoints(company.accounts["dev"]) == endpoints(company.accounts["prod"]) == []
    for env in ("dev", "prod"):
        account = company.accounts[env]
        assert [text for item in deployed(account) for text in item.differences()] == []


def release(company: Company, pipeline: Pipeline, execution: Execution) -> None:
    """Two people answer what an execution asks, until it has ended: one of them for prod alone."""
    people = {"delivery-approval": "ada", "prod-approval": "grace"}
    while approval := execution.waits_for:
        approver = company.sign_in("delivery", "Release", people[approval.stage])
        assert execution.commit in answer(approver, PIPELINE)
        pipeline.run()
    assert execution.status == "Succeeded", execution.failure
    answers = {item.stage: item.by.rpartition("/")[2] for item in execution.approvals}
    assert answers == {stage: people[stage] for stage in answers}
    assert answers["prod-approval"] == "grace"


def register(company: Company, folder: Path, name: str) -> str:
    """Registers a version in dev, as its pipeline does; nobody has decided on it yet."""
    dev = company.accounts["dev"]
    group = model_package_group_name(two_accounts.DEV, two_accounts.RECIPE.model_package_group)
    clients = Clients(**{service: dev.client(service) for service in ("sagemaker", "s3", "kms")})
    account = Account(clients, bucket=bucket_name(two_accounts.DEV, "artifacts"), group=group)
    folder.mkdir()
    files = two_accounts.evidence(folder, artifact=name.encode())
    pending = "PendingManualApproval"
    facts = {"execution_id": name, "recipe": "complaints"}
    two_accounts.register(account, files, status=pending, **facts)
    return str(account.registry.versions(account.group)[0].arn)


def decide(company: Company, env: str, number: int) -> None:
    """A person approves a version, as the environment's approver."""
    name = "ada" if env == "dev" else "grace"
    approver = company.act_as(env, "approver", name)
    why = ("--by", name, "--reason", "the figures hold")
    company.run(approver, "sashiko", "model", "approve", str(number), "--env", env, *why)


def promote(company: Company, number: int) -> None:
    """A person copies a version of dev's registry into prod's."""
    promoter = company.act_as("prod", "promoter", "grace")
    company.run(promoter, "sashiko", "model", "promote", str(number), "--to", "prod")


def copy_of(arn: str) -> str:
    """Names prod's copy of a version of dev's: the numbers are the same here."""
    return arn.replace("-dev-", "-prod-").replace(ACCOUNTS["dev"], ACCOUNTS["prod"])


def propose(company: Company, env: str, number: int) -> str:
    """The tools' build makes a branch of the approved version, as an approval's event starts it."""
    tools, before = company.accounts["delivery"], len(company.organization.messages)
    (target,) = tools.client("events").list_targets_by_rule(
        Rule=f"{MODELS}-{env}", EventBusName=f"{PIPELINE}-approvals"
    )["Targets"]
    assert company.organization.may(target["RoleArn"], "codebuild:StartBuild", target["Arn"])
    variables = json.loads(target["Input"])["environmentVariablesOverride"]
    build = company.builds.run(MODELS, {item["name"]: item["value"] for item in variables})
    assert build.status == "SUCCEEDED", build.output

    branch = f"model/{env}/{number}"
    messages = [message for _, message in company.organization.messages[before:]]
    page = f"https://github.com/acme/triage/compare/main...{branch}?expand=1"
    assert messages == [f"Review and merge it: {page}"]
    return branch


def serve(company: Company, pipeline: Pipeline, branch: str, *, served: str) -> None:
    """A person merges a branch, and its environment serves the version afterwards."""
    company.repository.merge(branch)
    env = branch.split("/")[1]
    execution = pipeline.push()
    # Dev follows the merge; the pipeline's own update and prod wait for a person.
    assert (endpoints(company.accounts[env]) == [served]) is (env == "dev")
    assert execution.waits_for, execution.failure
    release(company, pipeline, execution)
    assert endpoints(company.accounts[env]) == [served]


def fail_a_canary(
    company: Company, pipeline: Pipeline, branch: str, *, served: str, before: str
) -> None:
    """The new instance answers with errors: prod keeps what it served, and a retry repairs."""
    company.repository.merge(branch)
    prod, execution = company.accounts["prod"], pipeline.push()
    fleet = fleet_of(company, execution)
    report(prod, fleet, errors=1)
    for _ in ("delivery", "prod"):
        answer(company.sign_in("delivery", "Release", "grace"), PIPELINE)
        pipeline.run()
    assert execution.failure[:2] == ("prod-deploy", "prod-deploy")
    assert "rolled the update back" in execution.failure[2]
    assert endpoints(prod) == [before]

    report(prod, fleet, errors=0)
    retry = company.organization.messages[-1][1].rpartition(": ")[2]
    company.run(company.sign_in("delivery", "Release", "grace"), *retry.split())
    pipeline.run()
    assert execution.status == "Succeeded", execution.failure
    assert endpoints(prod) == [served]


def fleet_of(company: Company, execution: Execution) -> list[dict[str, str]]:
    """Reads the dimensions of the new fleet's metrics from the assembly that waits."""
    s3 = company.accounts["delivery"].client("s3")
    bucket = f"{PIPELINE}-artifacts-{ACCOUNTS['delivery']}-{REGION}"
    body = s3.get_object(Bucket=bucket, Key=execution.artifacts["Synth"])["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        assembly = io.BytesIO(packed.read("assembly.tar"))
    with tarfile.open(fileobj=assembly) as files:
        stack = files.extractfile("cdk.out/prod/Serving.template.json")
        assert stack
        resources = json.load(stack)["Resources"].values()
    alarms = [item["Properties"] for item in resources if item["Type"] == "AWS::CloudWatch::Alarm"]
    (dimensions,) = (
        alarm["Dimensions"]
        for alarm in alarms
        if alarm["MetricName"] == "Invocation5XXErrors" and len(alarm["Dimensions"]) == 3
    )
    return [{"Name": item["Name"], "Value": item["Value"]} for item in dimensions]


def report(account: Emulator, fleet: list[dict[str, str]], *, errors: int) -> None:
    """Writes the rate of errors of a fleet, as SageMaker does."""
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5 * errors)
    metric = {"MetricName": "Invocation5XXErrors", "Dimensions": fleet, "Timestamp": moment}
    account.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker", MetricData=[{**metric, "Value": errors}]
    )


def roll_back(company: Company) -> str:
    """One command at a person's desk makes the branch of the version before."""
    git_pull(company)
    deployer = company.act_as("prod", "endpoint-deployer", "grace")
    output = company.run(deployer, "sashiko", "model", "rollback", "--env", "prod")
    branch = "model/prod/1"
    assert f"git push origin {branch}" in output
    git(company.desk, "push", "--quiet", "--force", "origin", branch)
    return branch


def git_pull(company: Company) -> None:
    """Brings the desk, where the settings were written before they were merged, to `main`."""
    git(company.desk, "fetch", "--quiet", "origin")
    git(company.desk, "reset", "--quiet", "--hard", "origin/main")


def endpoints(account: Emulator) -> list[str]:
    """Returns the version that each endpoint of an account serves."""
    sagemaker = account.client("sagemaker")
    arns = []
    for item in sagemaker.list_endpoints()["Endpoints"]:
        name = sagemaker.describe_endpoint(EndpointName=item["EndpointName"])["EndpointConfigName"]
        config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
        (variant,) = config["ProductionVariants"]
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        arns.append(str(model["PrimaryContainer"]["ModelPackageName"]))
    return arns


def check_keys(company: Company) -> None:
    """No account has a user, a key or a secret; no build is given one. Sessions alone are taken."""
    for account in company.accounts.values():
        iam = account.client("iam")
        assert iam.list_users()["Users"] == []
        assert account.client("secretsmanager").list_secrets()["SecretList"] == []
        parameters = account.client("ssm").describe_parameters()["Parameters"]
        assert {item["Type"] for item in parameters} == {"String"}  # and none is a secret
    projects = company.accounts["delivery"].client("codebuild")
    for name in projects.list_projects()["projects"]:
        environment = company.builds.project(name)["environment"]
        given = environment.get("environmentVariables", [])
        assert {item.get("type", "PLAINTEXT") for item in given} <= {"PLAINTEXT"}
        assert not [item["name"] for item in given if "KEY" in item["name"]]


def destroy(company: Company) -> None:
    """Takes all of it away, as docs/delivery.md has it: the stages, then the tools."""
    git_pull(company)
    for env in ("prod", "dev", "delivery"):
        company.make("destroy", env, options="--force")
