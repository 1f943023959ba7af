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
from verification.deploy.accounts.sessions import credential_variables
from verification.deploy.process import REGION, ROOT, Emulator, running
from verification.deploy.releases.builds import Builds, Repository, git, new_repository
from verification.deploy.releases.pipeline import Pipeline

_PATH = "/aws-reserved/sso.amazonaws.com/"
_SUFFIX = "0123456789abcdef"
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def provision(account: Emulator, permission_set: str, *allowed: tuple[str, str]) -> None:
    """Makes the role of a permission set: of administrators, or of actions on resources."""
    iam, name = account.client("iam"), f"AWSReservedSSO_{permission_set}_{_SUFFIX}"
    provider = f"arn:aws:iam::{account.account}:saml-provider/AWSSSO_{_SUFFIX}_DO_NOT_DELETE"
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithSAML"],
    }
    document: dict[str, object] = {"Version": "2012-10-17", "Statement": [trust]}
    iam.create_role(Path=_PATH, RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    if not allowed:
        iam.attach_role_policy(RoleName=name, PolicyArn=_ADMINISTRATOR)
        return
    document["Statement"] = [
        {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed
    ]
    iam.put_role_policy(
        RoleName=name, PolicyName="AwsSSOInlinePolicy", PolicyDocument=json.dumps(document)
    )


def answer(approver: Emulator, pipeline: str, *, stage: str = "", status: str = "Approved") -> str:
    """Answers an approval, of a stage or the only one; returns what the person was shown."""
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
    """All of it."""

    accounts: Mapping[str, Emulator]  # by the name that `ENV` takes
    organization: Organization
    repository: Repository  # what the host has
    desk: Path  # a clone in which people run commands
    builds: Builds  # the tools' CodeBuild

    def pipeline(self) -> Pipeline:
        tools = self.accounts["delivery"]
        return Pipeline(self.organization, tools, self.repository, self.builds, name=PIPELINE)

    def sign_in(self, env: str, permission_set: str, name: str) -> Emulator:
        """Returns an account as a person sees it who signed in."""
        account = self.accounts[env]
        role = f"{_PATH}AWSReservedSSO_{permission_set}_{_SUFFIX}"
        return self.organization.person(account, f"arn:aws:iam::{account.account}:role{role}", name)

    def act_as(self, env: str, role: str, name: str) -> Emulator:
        """Returns an account as a person of its models sees it, who took a role of the project."""
        person = self.sign_in(env, "Models", name)
        arn = f"arn:aws:iam::{person.account}:role/sashiko-{env}-{role}"
        keys = person.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
        members = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        return replace(person, credentials=credential_variables(*(keys[k] for k in members)))

    def make(self, target: str, env: str, *, options: str = "--require-approval=never") -> str:
        make = str(shutil.which("make"))  # not the one that a build has
        kept = ("-o", ".venv/bin/.infra", "-o", "node_modules/.done")
        administrator = self.sign_in(env, "Administrator", "root")
        return self.run(administrator, make, *kept, target, f"ENV={env}", f"ARGS={options}")

    def run(self, person: Emulator, *command: str, status: int = 0) -> str:
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
        tools = accounts["delivery"]
        both = {arn: ("GetPipelineState", "StartPipelineExecution"),
                f"{arn}/*": ("PutApprovalResult", "RetryStageExecution")}  # fmt: skip
        pairs = ((f"codepipeline:{action}", on) for on, names in both.items() for action in names)
        provision(tools, "Release", *pairs)
        builds = Builds(organization, tools, repository, folder / "builds", connection=CONNECTION)
        desk = folder / "desk"
        git(folder, "clone", "--quiet", str(repository.folder), str(desk))
        git(desk, "config", "user.name", "Grace")
        git(desk, "config", "user.email", "grace@example.invalid")
        (desk / ".git/info/exclude").write_text("/.venv\n/node_modules\n")
        for name in (".venv", "node_modules"):
            (desk / name).symlink_to(ROOT / name)
        yield Company(
            accounts=accounts, organization=organization, repository=repository, desk=desk,
            builds=builds,
        )  # fmt: skip
