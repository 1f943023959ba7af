"""A stack of one's own, as docs/change.md has it: two files, and three for a new type."""

import json
import re
from pathlib import Path

import pytest

from sashiko.account.access.policy_evaluation import covers
from tests.e2e.changes.project import Project, assert_small
from tests.project_root import REPOSITORY

PAGE = (REPOSITORY / "docs/change.md").read_text(encoding="utf-8").partition("## Add a stack")[2]
FILE, DIFF = re.findall(r"```(?:python|diff)\n(.*?)```", PAGE, re.S)[:2]
QUEUE = "arn:aws:sqs:us-east-1:111122223333:sashiko-dev-approvals"
PARAMETER = """
        ssm.StringParameter(
            self, "Queue", parameter_name=f"/{name}/queue", string_value=queue.queue_url
        )
"""

Allowed = set[tuple[str, str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy that synthesizes as `make synth ENV=dev` does, without the command line."""
    context = json.loads((REPOSITORY / "cdk.json").read_text())["context"] | {"env": "dev"}
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps(context))
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "cdk.out"))
    return Project.copy(tmp_path / "project")


def add_stack(project: Project) -> None:
    """Makes exactly the change of the page."""
    lines = DIFF.splitlines()
    added = [line[1:] for line in lines if line.startswith("+")]
    (removed,) = [line[1:] for line in lines if line.startswith("-")]
    project.write("infra/stacks/exports.py", FILE)
    before = "from infra.stacks.governance"
    project.edit("infra/app.py", there=before, put=f"{added[0]}\n{before}")
    project.edit("infra/app.py", there=removed, put=added[1])


def synth(project: Project, out: Path) -> dict[str, dict[str, object]]:
    done = project.run("-m", "infra.app")
    assert done.returncode == 0, done.stderr
    return {
        file.name.partition(".")[0]: json.loads(file.read_text())
        for file in out.rglob("*.template.json")
    }


def allowed(templates: dict[str, dict[str, object]]) -> Allowed:
    permissions: Allowed = set()
    for resource in templates["Bootstrap"]["Resources"].values():  # type: ignore[attr-defined]
        properties = resource["Properties"]
        if "-execution-" in properties["ManagedPolicyName"]:
            for item in properties["PolicyDocument"]["Statement"]:
                actions, arns = (
                    value if isinstance(value, list) else [value]
                    for value in (item["Action"], item["Resource"])
                )
                conditions = json.dumps(item.get("Condition", {}), sort_keys=True)
                permissions |= {(action, arn, conditions) for action in actions for arn in arns}
    return permissions


def test_a_stack_is_a_file_and_a_line(project: Project, tmp_path, monkeypatch):
    monkeypatch.setenv("CDK_VALIDATION", "false")  # the rules' own test is below
    add_stack(project)
    templates = synth(project, tmp_path / "cdk.out")

    assert_small(project)
    queues = [
        resource["Properties"]
        for resource in templates["Exports"]["Resources"].values()  # type: ignore[attr-defined]
        if resource["Type"] == "AWS::SQS::Queue"
    ]
    assert [queue["QueueName"] for queue in queues] == ["sashiko-dev-approvals"]
    tags = {tag["Key"]: tag["Value"] for tag in queues[0]["Tags"]}
    assert tags == {"project": "sashiko", "environment": "dev"}
    manifest = json.loads((tmp_path / "cdk.out/manifest.json").read_text())["artifacts"]
    assert "Pipeline" in manifest["Exports"]["dependencies"]
    assert any(
        action == "sqs:CreateQueue" and covers(arn, QUEUE) for action, arn, _ in allowed(templates)
    )


@pytest.mark.slow
def test_a_security_rule_stops_it(project: Project, tmp_path: Path) -> None:
    add_stack(project)
    project.edit("infra/stacks/exports.py", there="            enforce_ssl=True,\n", put="")

    done = project.run("-m", "infra.app")

    assert done.returncode != 0
    assert "the templates break a rule" in done.stderr
    report = json.loads((tmp_path / "cdk.out/validation-report.json").read_text())
    broken = {
        construct["constructPath"]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    assert any(path.startswith("Exports/Approvals") for path in broken), broken


@pytest.mark.slow
def test_a_new_type_is_one_more_file_and_no_more_rights_than_it_takes(project: Project, tmp_path):
    before = synth(project, tmp_path / "cdk.out")
    add_stack(project)
    # What the project has queues and rules for, it may make another one with.
    assert allowed(synth(project, tmp_path / "cdk.out")) == allowed(before)
    project.write(
        "infra/stacks/exports.py",
        FILE.replace(
            "import aws_sqs as sqs", "import aws_sqs as sqs\nfrom aws_cdk import aws_ssm as ssm"
        )
        + PARAMETER.strip("\n").replace("\n\n", "\n")
        + "\n",
    )
    refused = project.run("-m", "infra.app")
    assert refused.returncode != 0
    command = re.search(r"python -m (\S+\.describe_types AWS::SSM::Parameter)", refused.stderr)
    assert command, refused.stderr

    done = project.run("-m", *command[1].split())
    assert done.returncode == 0, done.stderr
    after = synth(project, tmp_path / "cdk.out")

    assert_small(project)
    grown = allowed(after) - allowed(before)
    assert allowed(before) <= allowed(after)
    assert {arn for _, arn, _ in grown} == {
        "arn:aws:ssm:us-east-1:111122223333:parameter/sashiko-*"
    }
    assert {"ssm:PutParameter", "ssm:DeleteParameter"} <= {action for action, _, _ in grown}
    assert {action.partition(":")[0] for action, _, _ in grown} == {"ssm"}
