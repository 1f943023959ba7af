"""Three accounts, a repository, a pipeline between them, and the people who work with them."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from verification.deploy.accounts.organization import Organization
from verification.deploy.accounts.organization import running as organized
from verification.deploy.process import REGION, ROOT, Emulator, running
from verification.deploy.releases.builds import Builds, Repository, git, new_repository
from verification.deploy.releases.pipeline import Pipeline

_PATH = "/aws-reserved/sso.amazonaws.com/"
_SUFFIX = "0123456789abcdef"
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def role_of(account: Emulator, permission_set: str) -> str:
    """Returns the ARN of the role of a permission set in an account."""
    return f"arn:aws:iam::{account.account}:role{_PATH}AWSReservedSSO_{permission_set}_{_SUFFIX}"


def provision(account: Emulator, permission_set: str, *allowed: tuple[str, str]) -> None:
    """Makes the role of a permission set: of administrators, or of actions on resources."""
    iam, name = account.client("iam"), f"AWSReservedSSO_{permission_set}_{_SUFFIX}"
    provider = f"arn:aws:iam::{account.account}:saml-provider/AWSSSO_{_SUFFIX}_DO_NOT_DELETE"
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithSAML"],
    }
    iam.create_role(Path=_PATH, RoleName=name, AssumeRolePolicyDocument=_document(trust))
    if not allowed:
        iam.attach_role_policy(RoleName=name, PolicyArn=_ADMINISTRATOR)
        return
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed
    ]
    iam.put_role_policy(
        RoleName=name, PolicyName="AwsSSOInlinePolicy", PolicyDocument=_document(*statements)
    )


def _document(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def sign_in(
    organization: Organization, account: Emulator, permission_set: str, name: str
) -> Emulator:
    """Returns an account as a person sees it who signed in."""
    return organization.person(account, role_of(account, permission_set), name)


def act_as(person: Emulator, role: str, name: str) -> Emulator:
    """Returns an account as a person sees it who has assumed a role, if its trust lets them."""
    arn = f"arn:aws:iam::{person.account}:role/{role}"
    keys = person.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    return replace(person, credentials=credentials)


def answer(approver: Emulator, pipeline: str, *, stage: str = "", status: str = "Approved") -> str:
    """Answers an approval that a pipeline waits for, of a stage or the only one.

    Returns:
        What the person was shown.
    """
    api = approver.client("codepipeline")
    states = api.get_pipeline_state(name=pipeline)["stageStates"]
    (waiting,) = (item for item in states if stage in ("", item["stageName"]))
    (action,) = waiting["actionStates"]
    api.put_approval_result(
        pipelineName=pipeline,
        stageName=waiting["stageName"],
        actionName=action["actionName"],
        token=action["latestExecution"]["token"],
        result={"status": status, "summary": "looked at the list"},
    )
    return str(action["latestExecution"]["summary"])


SMALL_APP = '''\
"""Two stacks of a dashboard, whose text is what a merge changes."""

import json
from pathlib import Path

from aws_cdk import App, aws_cloudwatch as cloudwatch

from sashiko.account.names import prefix
from sashiko.settings.tools import Tools
from sashiko_cdk.app import run_app
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.stack import EnvironmentStack


def add_stacks(app: App, deployment: Deployment) -> None:
    """Adds both."""
    before = None
    text = {"type": "text", "properties": {"markdown": Path("infra/text").read_text()}}
    for part in ("First", "Second"):
        stack = EnvironmentStack(app, part, deployment, stateful=False, description=part)
        cloudwatch.CfnDashboard(
            stack,
            "Dashboard",
            dashboard_name=f"{prefix(deployment.settings)}-{part}",
            dashboard_body=json.dumps({"widgets": [text]}),
        )
        if before:
            stack.add_stack_dependency(before)
        before = stack


if __name__ == "__main__":
    run_app(add_stacks)
'''


ACCOUNTS = {"delivery": "777788889999", "dev": "111122223333", "prod": "444455556666"}
PIPELINE = "sashiko-delivery"
CONNECTION = (
    f"arn:aws:codeconnections:{REGION}:{ACCOUNTS['delivery']}:connection/"
    "0123abcd-8aad-4d5d-8878-dfcab0bc441f"
)
# Without Lake Formation, whose life is test_life_cycle's, and with what a destroy deletes.
_STAGE = """\
tier: {tier}
account: "{account}"
on_destroy: delete
contracts: [complaints]
lake_formation: {{mode: iam_only}}
network: {{zones: [a]}}
"""
SETTINGS: Mapping[str, str] = {
    "config/dev.yaml": _STAGE.format(tier="dev", account=ACCOUNTS["dev"])
    + f'promotion: {{target: {{environment: prod, account: "{ACCOUNTS["prod"]}"}}}}\n',
    "config/prod.yaml": _STAGE.format(tier="prod", account=ACCOUNTS["prod"])
    + f'promotion: {{source: {{environment: dev, account: "{ACCOUNTS["dev"]}"}}}}\n'
    + "serving: {min_instances: 2, max_instances: 4}\n",
}
DELIVERY = f"""\
by: codepipeline
account: "{ACCOUNTS["delivery"]}"
region: {REGION}
source: {{host: github, repository: acme/triage, branch: main, connection: "{CONNECTION}"}}
stages: [dev, prod]
"""


@dataclass(frozen=True, kw_only=True)
class Company:
    """All of it.

    Attributes:
        accounts: by the name that `ENV` takes, as the emulator has them.
        organization: the address of all.
        repository: what the host has.
        desk: a clone in which people run commands.
        builds: the tools' CodeBuild.
    """

    accounts: Mapping[str, Emulator]
    organization: Organization
    repository: Repository
    desk: Path
    builds: Builds

    def pipeline(self) -> Pipeline:
        """Opens the pipeline, once it is deployed."""
        return Pipeline(
            self.organization,
            self.accounts["delivery"],
            self.repository,
            self.builds,
            name=PIPELINE,
        )

    def sign_in(self, env: str, permission_set: str, name: str) -> Emulator:
        """Returns an account as a person sees it who signed in."""
        return sign_in(self.organization, self.accounts[env], permission_set, name)

    def act_as(self, env: str, role: str, name: str) -> Emulator:
        """Returns an account as a person of its models sees it, who took a role of the project."""
        person = self.sign_in(env, "Models", name)
        return act_as(person, f"sashiko-{env}-{role}", name)

    def make(self, target: str, env: str, *, options: str = "--require-approval=never") -> str:
        """Runs a target of the Makefile by the administrator of an account, at the desk.

        Raises:
            AssertionError: if it fails.
        """
        kept = ("-o", ".venv/bin/.infra", "-o", "node_modules/.done")
        make = str(shutil.which("make"))  # not the one that a build has
        return self.run(
            self.sign_in(env, "Administrator", "root"),
            make,
            *kept,
            target,
            f"ENV={env}",
            f"ARGS={options}",
        )

    def run(self, person: Emulator, *command: str, status: int = 0) -> str:
        """Runs a command at the desk, with a person's credentials; returns all it printed.

        Raises:
            AssertionError: if it ends with another status.
        """
        environ = person.environment()
        path = f"{self.builds.tools}:{ROOT}/.venv/bin:{environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.desk,
            env={**environ, "PATH": path, "CDK_VALIDATION": "false"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout


@contextmanager
def new_company(folder: Path, files: Mapping[str, str] = MappingProxyType({})) -> Iterator[Company]:
    """Starts the accounts, with people in them and nothing else, and the repository.

    `files` of the repository are the project's own, in place of this one's.
    """
    with ExitStack() as stack:
        accounts = {}
        for env, number in ACCOUNTS.items():
            home = folder / f"home-{env}"
            home.mkdir()
            accounts[env] = stack.enter_context(running(number, home))
            provision(accounts[env], "Administrator")
        organization = stack.enter_context(organized(accounts.values()))
        repository = new_repository(folder / "host", files)
        for env in ("dev", "prod"):
            roles = f"arn:aws:iam::{ACCOUNTS[env]}:role/sashiko-{env}-*"
            provision(accounts[env], "Models", ("sts:AssumeRole", roles))
        arn = f"arn:aws:codepipeline:{REGION}:{ACCOUNTS['delivery']}:{PIPELINE}"
        provision(
            accounts["delivery"],
            "Release",
            ("codepipeline:GetPipelineState", arn),
            ("codepipeline:PutApprovalResult", f"{arn}/*"),
            ("codepipeline:RetryStageExecution", f"{arn}/*"),
            ("codepipeline:StartPipelineExecution", arn),
        )
        tools = accounts["delivery"]
        builds = Builds(organization, tools, repository, folder / "builds", connection=CONNECTION)
        yield Company(
            accounts=accounts,
            organization=organization,
            repository=repository,
            desk=_desk(folder / "desk", repository),
            builds=builds,
        )


def _desk(folder: Path, repository: Repository) -> Path:
    git(folder.parent, "clone", "--quiet", str(repository.folder), str(folder))
    git(folder, "config", "user.name", "Grace")
    git(folder, "config", "user.email", "grace@example.invalid")
    for name in (".venv", "node_modules"):
        (folder / name).symlink_to(ROOT / name)
        with (folder / ".git/info/exclude").open("a") as file:
            file.write(f"/{name}\n")
    return folder
