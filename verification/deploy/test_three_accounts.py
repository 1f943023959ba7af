"""A merge becomes a served model in prod: three accounts, approvals by people, no key that lasts.

Everything but the emulator is the project's own: its repository in git, `make bootstrap` and `make
deploy`, the pipeline that was deployed, and the builds as their specifications have them. No model
is trained: a version is registered by the project's registrar from evidence that was written.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sashiko.aws.resources.names import bucket_name, model_package_group_name
from sashiko.core.aws_calls import Clients
from tests.unit.aws.operations import two_accounts
from tests.unit.registry.model_packages.account import Account
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.company import DELIVERY, PIPELINE, SETTINGS, Company, founded
from verification.deploy.releases.execution import Execution
from verification.deploy.releases.people import answer
from verification.deploy.releases.pipeline import Pipeline
from verification.deploy.releases.repository import git

pytestmark = pytest.mark.slow
MODELS = f"{PIPELINE}-models"
GROUP = "sashiko-{}-complaint-triage"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with founded(tmp_path_factory.mktemp("company")) as instance:
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
    propose(company, "dev", pipeline, served=versions[1])

    for number in (1, 2):
        promote(company, number)
        decide(company, "prod", number)
        copy = versions[number - 1].replace("-dev-", "-prod-")
        copy = copy.replace(company.accounts["dev"].account, company.accounts["prod"].account)
        propose(company, "prod", pipeline, served=copy)
    roll_back(company, pipeline)

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
    release(company, pipeline, execution, asked=["dev-approval", "prod-approval"])
    assert execution.skipped == ["delivery-approval"]
    assert endpoints(company.accounts["dev"]) == endpoints(company.accounts["prod"]) == []
    for env in ("dev", "prod"):
        account = company.accounts[env]
        assert [text for item in deployed(account) for text in item.differences()] == []


def release(
    company: Company, pipeline: Pipeline, execution: Execution, *, asked: list[str]
) -> None:
    """Two people answer what an execution asks, until it has ended."""
    people = {"dev-approval": "ada", "prod-approval": "grace"}
    while approval := execution.waits_for:
        approver = company.sign_in("delivery", "Release", people[approval.stage])
        assert execution.commit in answer(approver, PIPELINE)
        pipeline.run()
    assert execution.status == "Succeeded", execution.failure
    answers = [(item.stage, item.by.rpartition("/")[2]) for item in execution.approvals]
    assert answers == [(stage, people[stage]) for stage in asked]
    # One assembly: what was synthesized is what each build unpacked.
    digest = execution.variables["Synth"]["ASSEMBLY"]
    assert len(digest) == 64


def register(company: Company, folder: Path, name: str) -> str:
    """Registers a version in dev, as its pipeline does; nobody has decided on it yet."""
    dev = company.accounts["dev"]
    account = Account(
        Clients(**{service: dev.client(service) for service in ("sagemaker", "s3", "kms")}),
        bucket=bucket_name(two_accounts.DEV, "artifacts"),
        group=model_package_group_name(two_accounts.DEV, two_accounts.RECIPE.model_package_group),
    )
    folder.mkdir()
    files = two_accounts.evidence(folder, artifact=name.encode())
    pending = "PendingManualApproval"
    two_accounts.register(account, files, status=pending, execution_id=name)
    return str(account.registry.versions(account.group)[0].arn)


def decide(company: Company, env: str, number: int) -> None:
    """A person approves a version, as the environment's approver."""
    approver = company.act_as(env, "approver", "ada" if env == "dev" else "grace")
    reason = ("--reason", "the figures hold")
    company.run(approver, "sashiko", "model", "approve", str(number), "--env", env, *reason)


def promote(company: Company, number: int) -> None:
    """A person copies a version of dev's registry into prod's."""
    promoter = company.act_as("prod", "promoter", "grace")
    company.run(promoter, "sashiko", "model", "promote", str(number), "--to", "prod")


def propose(company: Company, env: str, pipeline: Pipeline, *, served: str) -> None:
    """The tools' build makes a branch of the approved version; merged, it is served."""
    tools, before = company.accounts["delivery"], len(company.organization.messages)
    (target,) = tools.client("events").list_targets_by_rule(
        Rule=f"{MODELS}-{env}", EventBusName=f"{PIPELINE}-approvals"
    )["Targets"]
    assert company.organization.may(target["RoleArn"], "codebuild:StartBuild", target["Arn"])
    variables = json.loads(target["Input"])["environmentVariablesOverride"]
    build = company.builds.run(MODELS, {item["name"]: item["value"] for item in variables})
    assert build.status == "SUCCEEDED", build.output

    branch = f"model/{env}/{served.rpartition('/')[2]}"
    messages = [message for _, message in company.organization.messages[before:]]
    page = f"https://github.com/acme/triage/compare/main...{branch}?expand=1"
    assert messages == [f"Review and merge it: {page}"]
    serve(company, pipeline, branch, env, served)


def serve(company: Company, pipeline: Pipeline, branch: str, env: str, served: str) -> None:
    """A person merges a branch, and the environment serves its version afterwards."""
    company.repository.merge(branch)
    execution = pipeline.push()
    if env == "prod":
        assert endpoints(company.accounts["prod"]) != [served]
    # A new endpoint needs what was not allowed before; another version of it needs nothing.
    asked = [stage for stage in ("dev-approval",) if stage not in execution.skipped]
    release(company, pipeline, execution, asked=[*asked, "prod-approval"])
    assert endpoints(company.accounts[env]) == [served]


def roll_back(company: Company, pipeline: Pipeline) -> None:
    """One command and one merge: prod serves the version before."""
    git_pull(company)
    deployer = company.act_as("prod", "endpoint-deployer", "grace")
    output = company.run(deployer, "sashiko", "model", "rollback", "--env", "prod")
    assert "git push origin model/prod/1" in output
    company.repository.git("fetch", "--quiet", str(company.desk), "+model/prod/1:model/prod/1")
    account = company.accounts["prod"].account
    arn = f"arn:aws:sagemaker:{REGION}:{account}:model-package/{GROUP.format('prod')}/1"
    serve(company, pipeline, "model/prod/1", "prod", arn)


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
        assert [item["Name"] for item in parameters] == ["/cdk-bootstrap/sashiko/version"]
        templates = " ".join(_templates(account))
        assert "AWS::IAM::User" not in templates and "AWS::IAM::AccessKey" not in templates
    projects = company.accounts["delivery"].client("codebuild")
    for name in projects.list_projects()["projects"]:
        environment = company.builds.project(name)["environment"]
        given = environment.get("environmentVariables", [])
        assert {item.get("type", "PLAINTEXT") for item in given} <= {"PLAINTEXT"}
        assert not [item["name"] for item in given if "KEY" in item["name"]]


def _templates(account: Emulator) -> Iterator[str]:
    api = account.client("cloudformation")
    for stack in api.describe_stacks()["Stacks"]:
        yield json.dumps(api.get_template(StackName=stack["StackName"])["TemplateBody"])


def destroy(company: Company) -> None:
    """Takes all of it away, as docs/delivery.md has it: the stages, then the tools."""
    git_pull(company)
    for env in ("prod", "dev", "delivery"):
        company.make("destroy", env)
