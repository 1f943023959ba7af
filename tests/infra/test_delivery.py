"""The pipeline in the tools' account: what runs where, who decides, and whom a role can reach."""

import json
import os
import shutil
import subprocess
import sys

import jmespath
import pytest
from moto.events.models import EventPattern
from typer.testing import CliRunner

from sashiko.aws.operations.access.policies import Request, allows, denies, statements
from sashiko.cli import app
from tests.infra.delivery import (
    boundary_document,
    delivery_folder,
    delivery_template,
    tools_of,
    write_stages,
)
from tests.infra.test_lint import _findings
from tests.infra.variants import resources, settings_of, some

PLACES = {
    "delivery": "777788889999",
    "dev": "111122223333",
    "staging": "222233334444",
    "prod": "444455556666",
}
BOUNDARY = "arn:aws:iam::777788889999:policy/cdk-sashiko-boundary-us-east-1"


MODELS = "sashiko-delivery-models"  # deploys nothing: tests/infra/test_model_delivery.py


@pytest.fixture(scope="module")
def template():
    return delivery_template()


@pytest.fixture(scope="module")
def stages(template):
    """The stages of the pipeline, by name, in their order."""
    (pipeline,) = some(template, "AWS::CodePipeline::Pipeline").values()
    assert pipeline["Properties"]["PipelineType"] == "V2"
    return {stage["Name"]: stage for stage in pipeline["Properties"]["Stages"]}


@pytest.fixture(scope="module")
def roles(template):
    """Name -> properties of each role."""
    entries = some(template, "AWS::IAM::Role").values()
    return {role["Properties"]["RoleName"]: role["Properties"] for role in entries}


def _projects(template):
    return {
        project["Properties"]["Name"]: project["Properties"]
        for project in some(template, "AWS::CodeBuild::Project").values()
    }


def test_the_pipeline_updates_itself_then_deploys_the_stages_in_order(stages):
    parts = [f"{place}-{part}" for place in PLACES for part in ("difference", "approval", "deploy")]
    assert list(stages) == ["Source", "Build", *parts]
    assert {action["Name"] for action in stages["Build"]["Actions"]} == {"test", "synth"}


def test_a_person_stands_before_every_environment_but_the_first(stages):
    for place in PLACES:
        stage = stages[f"{place}-approval"]
        (approval,) = stage["Actions"]
        assert approval["ActionTypeId"]["Category"] == "Approval"
        assert f"#{{{place}-difference.SUMMARY}}" in approval["Configuration"]["CustomData"]
        if place in ("staging", "prod"):
            assert "BeforeEntry" not in stage
            continue
        # Entered unless the comparison said `no`: one that said nothing asks a person.
        (condition,) = stage["BeforeEntry"]["Conditions"]
        assert condition["Result"] == "SKIP"
        (rule,) = condition["Rules"]
        assert rule["RuleTypeId"]["Provider"] == "VariableCheck"
        assert rule["Configuration"] == {
            "Operator": "NE",
            "Value": "no",
            "Variable": f"#{{{place}-difference.BROADENS}}",
        }


def test_one_synth_is_what_every_account_gets(stages):
    actions = [action for stage in stages.values() for action in stage["Actions"]]
    (synth,) = [a for a in actions if {"Name": "Synth"} in a.get("OutputArtifacts", [])]
    assert synth["Name"] == "synth"
    later = [a for a in actions if a["Name"].endswith(("-difference", "-deploy"))]
    assert len(later) == 2 * len(PLACES)
    for action in later:
        assert action["InputArtifacts"] == [{"Name": "Synth"}]
        (digest,) = json.loads(action["Configuration"]["EnvironmentVariables"])
        assert (digest["name"], digest["value"]) == ("ASSEMBLY", "#{Synth.ASSEMBLY}")


def test_synth_is_that_of_the_environments_own_command(template):
    """So the templates are those of `make synth ENV=...`; test_synth.py compares their bytes."""
    spec = json.loads(_projects(template)["sashiko-delivery-synth"]["Source"]["BuildSpec"])
    commands = spec["phases"]["build"]["commands"]
    assert [item for item in commands if item.startswith("make ")] == [
        f'make synth ENV={name} ARGS="--output cdk.out/{name}"' for name in PLACES
    ]


def test_each_role_has_the_boundary_and_reaches_the_bootstrap_of_its_own_place(roles):
    assert {role["PermissionsBoundary"] for role in roles.values()} == {BOUNDARY}
    for name, role in roles.items():
        if name == MODELS:
            continue
        (policy,) = role["Policies"]
        targets = [
            arn
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "sts:AssumeRole"
            for arn in _many(statement["Resource"])
        ]
        place, _, kind = name.removeprefix("sashiko-delivery-").rpartition("-")
        parts = {"difference": ("lookup",), "deploy": ("deploy", "file-publishing", "lookup")}
        account = PLACES.get(place)
        assert targets == [
            f"arn:aws:iam::{account}:role/cdk-sashiko-{part}-role-{account}-us-east-1"
            for part in (parts[kind] if account else ())
        ]


def test_the_boundary_parts_the_environments_whatever_a_policy_says():
    """A merge may change the pipeline's policies: not whom a role can reach."""
    boundary = statements(boundary_document())

    def reaches(role, account, part="deploy"):
        request = Request(
            action="sts:AssumeRole",
            resource=f"arn:aws:iam::{account}:role/cdk-sashiko-{part}-role-{account}-us-east-1",
            context={
                "aws:principalarn": f"arn:aws:iam::777788889999:role/sashiko-delivery-{role}",
                "aws:requestedregion": "us-east-1",
            },
            complete=True,
        )
        return allows(boundary, request) and not denies(boundary, request)

    for place, account in PLACES.items():
        others = set(PLACES.values()) - {account}
        assert reaches(f"{place}-deploy", account)
        assert not any(reaches(f"{place}-deploy", other) for other in others)
        assert not reaches("test", account) and not reaches("synth", account)
        assert not reaches("pipeline", account)
        assert not reaches(f"{place}-deploy", account, part="cfn-exec")


def test_caches_and_artifacts_are_not_shared_upwards(template, roles):
    """What a test of a commit caches is not what a deploy installs."""
    projects = _projects(template)
    bucket = "arn:aws:s3:::sashiko-delivery-artifacts-777788889999-us-east-1"
    assert "Cache" not in projects.pop(MODELS)
    for name, project in projects.items():
        place = project["Cache"]["Location"]
        assert place.endswith(f"/cache/{name.removeprefix('sashiko-delivery-')}")
        (policy,) = roles[name]["Policies"]
        objects = [
            arn
            for statement in policy["PolicyDocument"]["Statement"]
            if "s3:PutObject" in statement["Action"]
            for arn in _many(statement["Resource"])
        ]
        own = f"{bucket}/cache/{name.removeprefix('sashiko-delivery-')}/*"
        artifacts = [f"{bucket}/sashiko-delivery*"] * name.endswith(("-synth", "-difference"))
        assert objects == [*artifacts, own]
    assert len({project["Cache"]["Location"] for project in projects.values()}) == len(projects)


def test_builds_are_unprivileged_logged_and_encrypted(template):
    groups = {
        group["Properties"]["LogGroupName"]: group["Properties"]
        for group in some(template, "AWS::Logs::LogGroup").values()
    }
    for project in _projects(template).values():
        assert project["Environment"]["PrivilegedMode"] is False
        assert project["EncryptionKey"]
    for group in groups.values():
        assert group["RetentionInDays"] == 365 and group["KmsKeyId"]
    assert len(groups) == len(_projects(template))


def test_no_other_account_reads_what_the_pipeline_keeps(template):
    for kind in ("AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::SNS::TopicPolicy"):
        text = json.dumps(some(template, kind))
        assert [account for account in PLACES.values() if account in text] in (
            [],
            ["777788889999"],
        )


def _failed(stage, category):
    """An action that failed ("Monitoring CodePipeline events", CodePipeline User Guide)."""
    return {
        "version": "0",
        "id": "01234567-EXAMPLE",
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": "777788889999",
        "time": "2020-01-31T18:55:43Z",
        "region": "us-east-1",
        "resources": ["arn:aws:codepipeline:us-east-1:777788889999:sashiko-delivery"],
        "detail": {
            "pipeline": "sashiko-delivery",
            "execution-id": "12345678-1234-5678-abcd-12345678abcd",
            "stage": stage,
            "execution-result": {
                "external-execution-url": "https://us-west-2.console.aws.amazon.com/codesuite",
                "external-execution-summary": "Build terminated with state: FAILED",
                "external-execution-id": "sashiko:01234567",
                "error-code": "JobFailed",
            },
            "action": "an-action",
            "state": "FAILED",
            "region": "us-east-1",
            "type": {"owner": "AWS", "category": category, "provider": "Any", "version": "1"},
            "version": 2.0,
            "pipeline-execution-attempt": 1.0,
        },
    }


def _messages(template, event):
    """What the rules make of an event, and the role that publishes it."""
    for rule in some(template, "AWS::Events::Rule").values():
        pattern = rule["Properties"].get("EventPattern")
        if not pattern or not EventPattern.load(json.dumps(pattern)).matches_event(event):
            continue
        (target,) = rule["Properties"]["Targets"]
        transformer = target["InputTransformer"]
        message = json.loads(transformer["InputTemplate"])
        for name, path in transformer["InputPathsMap"].items():
            quoted = ".".join(f'"{key}"' for key in path.removeprefix("$.").split("."))
            message = message.replace(f"<{name}>", jmespath.search(quoted, event))
        yield message


@pytest.mark.parametrize("category", ["Source", "Build", "Approval"])
def test_each_failure_is_told_once_with_the_next_command(template, category):
    event = _failed("Source" if category == "Source" else "prod-deploy", category)
    (message,) = _messages(template, event)
    assert "<" not in message
    assert f"{event['detail']['stage']} failed: Build terminated" in message
    command = message.rpartition(": ")[2]
    if category == "Source":
        assert command == (
            "aws codepipeline start-pipeline-execution --name sashiko-delivery --region us-east-1"
        )
        assert "sashiko doctor --all" in message
    else:
        assert command == (
            "aws codepipeline retry-stage-execution --pipeline-name sashiko-delivery "
            "--stage-name prod-deploy --pipeline-execution-id 12345678-1234-5678-abcd-12345678abcd "
            "--retry-mode FAILED_ACTIONS --region us-east-1"
        )

    other = {**event, "detail": {**event["detail"], "pipeline": "another"}}
    succeeded = {**event, "detail": {**event["detail"], "state": "SUCCEEDED"}}
    assert [*_messages(template, other), *_messages(template, succeeded)] == []


def test_what_tells_of_failures_can_do_nothing_else(template, roles):
    role = roles["sashiko-delivery-failures"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"]["ArnLike"] == {
        "aws:SourceArn": "arn:aws:events:us-east-1:777788889999:rule/sashiko-delivery-*-failed"
    }
    (policy,) = role["Policies"]
    actions = [item["Action"] for item in policy["PolicyDocument"]["Statement"]]
    assert actions == ["sns:Publish", ["kms:Decrypt", "kms:GenerateDataKey"]]


def test_the_template_is_clean():
    assert _findings(delivery_folder() / "Delivery.template.json") == []


def test_the_bootstrap_of_a_stage_trusts_the_tools_account_alone():
    from sashiko_cdk.bootstrap.policies import bootstrap_options

    options = bootstrap_options(settings_of("dev"), tools=tools_of())
    assert [option for option in options if "trust" in option] == [
        "--trust=777788889999",
        "--trust-for-lookup=777788889999",
    ]
    assert not [option for option in bootstrap_options(settings_of("dev")) if "trust" in option]


@pytest.fixture
def build(template, tmp_path):
    """Runs a project's build phase, on an assembly whose tools are stand-ins."""
    source = tmp_path / "files"
    (source / ".venv/bin").mkdir(parents=True)
    (source / ".venv/bin/sashiko").write_text(
        'echo "sashiko $* as ${AWS_PROFILE:-itself}" >> "$CALLS"\n'
        'case "$1" in broadening) printf "%s" "$BROADER";; preflight) exit "$REFUSED";; esac\n'
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "npx"):
        (tools / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "$CALLS"\n')
    for script in (source / ".venv/bin/sashiko", *tools.iterdir()):
        script.chmod(0o755)

    def run(name, *, broader="", status=0, tamper=False):
        folder = tmp_path / "build"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tar = folder / "assembly.tar"
        subprocess.run(["tar", "-cf", tar, "-C", source, "."], check=True)
        digest = subprocess.run(["sha256sum", tar], capture_output=True, text=True, check=True)
        if tamper:
            tar.write_bytes(tar.read_bytes() + b"\0" * 10240)
        calls = tmp_path / "calls"
        calls.write_text("")
        spec = json.loads(_projects(template)[name]["Source"]["BuildSpec"])
        echoes = [f'echo "{key}=${key}"' for key in spec["env"]["exported-variables"]]
        done = subprocess.run(
            ["bash", "-c", "\n".join([*spec["phases"]["build"]["commands"], *echoes])],
            cwd=folder,
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "ASSEMBLY": digest.stdout.split()[0],
                "CALLS": str(calls),
                "BROADER": broader,
                "REFUSED": str(status),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text().splitlines()

    return run


def test_a_comparison_says_whether_a_person_must_look(build, tmp_path):
    done, calls = build("sashiko-delivery-prod-difference", broader="iam  it allows more\n")
    assert done.returncode == 0, done.stderr
    assert "BROADENS=yes" in done.stdout
    assert "SUMMARY=1 changes broaden what is allowed" in done.stdout
    assert "it allows more" in done.stdout
    assert calls[-1] == "sashiko broadening --env prod --templates cdk.out/prod as lookup"
    assert (tmp_path / "build/difference/broadening.txt").read_text() == "iam  it allows more\n"
    assert (tmp_path / "build/difference/diff.txt").exists()
    assert "444455556666:role/cdk-sashiko-lookup" in (tmp_path / "lookup.config").read_text()

    done, _ = build("sashiko-delivery-prod-difference")
    assert "BROADENS=no" in done.stdout


def test_a_deploy_follows_its_preflight_and_deploys_the_assembly(build):
    done, calls = build("sashiko-delivery-prod-deploy")
    assert done.returncode == 0, done.stderr
    assert calls[-2:] == [
        "sashiko preflight --env prod as lookup",
        "npx --no-install cdk deploy --app cdk.out/prod --all --require-approval=never",
    ]

    done, calls = build("sashiko-delivery-prod-deploy", status=4)
    assert done.returncode == 4
    assert not [call for call in calls if "cdk deploy" in call]


@pytest.mark.parametrize("part", ["difference", "deploy"])
def test_another_assembly_than_the_synthesized_one_is_refused(build, part):
    done, calls = build(f"sashiko-delivery-prod-{part}", tamper=True)
    assert done.returncode == 1
    assert "not the one that was synthesized" in done.stdout
    assert calls == []


def test_infra_app_without_the_stack_says_what_to_add(tmp_path):
    (tmp_path / "config").mkdir()
    write_stages(tmp_path / "config")
    done = subprocess.run(
        [sys.executable, "-c", "from sashiko_cdk.app import run_app; run_app(print)"],
        cwd=tmp_path,
        env=os.environ | {"CDK_CONTEXT_JSON": json.dumps({"env": "delivery"})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error: infra/app.py adds no stack to the tools' account" in done.stderr


def test_resources_that_would_stay_are_none(template):
    kept = [
        name
        for name, item in template["Resources"].items()
        if item.get("DeletionPolicy", "Delete").startswith("Retain")
    ]
    assert kept == []
    assert resources(template, "AWS::S3::Bucket")


def _many(value):
    return value if isinstance(value, list) else [value]


def test_what_a_delivery_costs(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    write_stages(tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        app, ["cost", "--env", "delivery", "--templates", str(delivery_folder()), "--json"]
    )
    assert done.exit_code == 0, done.output
    costs = json.loads(done.stdout)
    # One key, and nothing that runs while nothing is merged.
    assert costs["idle"]["monthly"] == pytest.approx(1.0)
    deploy = costs["loads_and_builds"]["build sashiko-delivery-dev-deploy"]
    # 8 hours of a machine for 0.60 an hour, and 480 minutes of an action for 0.002 each.
    assert deploy["at_most"] == pytest.approx(8 * 0.60 + 480 * 0.002)
    assert any(price["usd"] == 0.002 for price in costs["prices"])
