"""The security report: what is explained, what is open, and what it cannot do without."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.infra.variants import assembly_of, deployment_of, new_app, output_of, settings_of

ROOT = Path.cwd()  # tests/conftest.py: with the samples
NIST = "NIST.800.53.R5"


def _violation(resource, **known):
    return {
        "ruleName": f"{NIST}-S3BucketReplicationEnabled",
        "description": "no copy (Control IDs: CP-9a)",
        "severity": "error",
        "violatingConstructs": [{"constructPath": f"Lake/{resource}/Resource"}],
    } | known


def _check(logical_id, **result):
    return {
        "check_id": "CKV_AWS_18",
        "check_name": "access is logged",
        "check_result": result,
        "file_path": "/Lake.template.json",
        "resource": f"AWS::S3::Bucket.{logical_id}",
    }


@pytest.fixture
def report(tmp_path):
    """Reports on a folder as synth leaves it, and on what a stand-in for checkov prints."""

    def run(*, violations=(), suppressed=(), failed=(), skipped=(), unread=(), status=0, caps=()):
        folder = tmp_path / "dev"
        (folder / "bootstrap").mkdir(parents=True, exist_ok=True)
        plugin = {"pluginName": NIST, "violations": violations, "suppressedViolations": suppressed}
        written = json.dumps({"pluginReports": [plugin]})
        (folder / "validation-report.json").write_text(written)
        limits = {"pluginName": NIST, "violations": caps, "suppressedViolations": []}
        caps_report = folder / "bootstrap/validation-report.json"
        caps_report.write_text(json.dumps({"pluginReports": [limits]}))
        bucket = {"Type": "AWS::S3::Bucket", "Metadata": {"aws:cdk:path": "Lake/Logs/Resource"}}
        (folder / "Lake.template.json").write_text(json.dumps({"Resources": {"Logs12": bucket}}))
        results = {"failed_checks": failed, "skipped_checks": skipped, "parsing_errors": unread}
        checkov = tmp_path / "checkov"
        printed = json.dumps({"results": results})
        checkov.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nenv >&2\nexit {status}\n")
        checkov.chmod(stat.S_IRWXU)
        return _report(folder, checkov), folder

    return run


def _report(folder, checkov):
    return output_of(
        [sys.executable, "-m", "sashiko_cdk.security_report", folder, "--checkov", checkov],
        cwd=ROOT,
        env=os.environ | {"BC_API_KEY": "of-somebody"},
    )


def test_what_nobody_explained_is_open(report):
    process, folder = report(
        violations=[_violation("Raw")],
        suppressed=[_violation("Curated", reason="It is made again from raw.")],
        failed=[_check("Logs12", result="FAILED")],
    )

    assert process.returncode == 4
    open_part, explained = process.stdout.split("## Explained")
    assert "2 open, 1 explained" in open_part
    assert "Lake/Raw" in open_part and "Lake/Logs" in open_part and "CP-9a" in open_part
    assert "Lake/Curated" not in open_part
    assert "It is made again from raw.\n  - Lake/Curated" in explained
    assert (folder / "report.md").read_text().strip() == process.stdout.strip()
    findings = json.loads((folder / "report.json").read_text())
    assert {(item["resource"], item["reason"] is None) for item in findings} == {
        ("Lake/Raw", True),
        ("Lake/Curated", False),
        ("Lake/Logs", True),
    }


def test_a_finding_in_the_bootstraps_policies_is_open_too(report):
    process, _ = report(caps=[_violation("Cap")])
    assert process.returncode == 4
    assert "Lake/Cap" in process.stdout.split("## Explained")[0]


def test_what_is_explained_is_no_failure(report):
    why = "It is where access is logged."
    process, _ = report(skipped=[_check("Logs12", result="SKIPPED", suppress_comment=why)])
    assert process.returncode == 0
    assert f"{why}\n  - Lake/Logs" in process.stdout.split("## Explained")[1]


def test_a_template_that_checkov_cannot_read_and_its_failure_are_errors(report):
    process, _ = report(unread=["Lake.template.json"])
    assert process.returncode == 1
    assert "error: checkov could not read Lake.template.json" in process.stderr

    process, _ = report(status=2)
    assert process.returncode == 1
    assert "ended with status 2" in process.stderr
    assert "CKV_SKIP_PACKAGE_UPDATE_CHECK" in process.stderr
    assert "BC_API_KEY" not in process.stderr, "it would send the templates to its platform"


def test_without_checkov_the_message_says_how_to_get_it(report, tmp_path):
    _, folder = report()
    process = _report(folder, tmp_path / "nowhere/checkov")
    assert process.returncode == 1
    assert "`make security-report` installs it" in process.stderr


@pytest.mark.slow  # `make security-report ENV=prod` fails on the same finding
@pytest.mark.parametrize("variant", ["iam_only", "prod"])
@pytest.mark.control("the whole pack")
def test_nists_findings_are_explained(variant):
    from infra.app import add_stacks
    from sashiko_cdk.security_report.__main__ import synth_findings
    from sashiko_cdk.security_rules.plugin import add_rules

    app, settings = new_app(), settings_of(variant)
    add_stacks(app, deployment_of(settings))
    add_rules(app, retains=settings.on_destroy == "retain", nist=True)
    app.synth()  # it fails on a finding without a reason
    _, findings = synth_findings(Path(app.outdir))
    assert {"IAMNoInlinePolicy", "S3DefaultEncryptionKMS"} <= {
        item.rule for item in findings if item.framework == NIST
    }


# A bucket about which every pack has something to say, in place of the stacks.
BARE = """
from aws_cdk import Environment, Stack, aws_s3
from sashiko_cdk.app import run_app
def add_stacks(app, deployment):
    place = Environment(account=deployment.settings.account, region=deployment.settings.region)
    aws_s3.Bucket(Stack(app, "Stack", stack_name="sashiko-dev-Stack", env=place), "Bare")
run_app(add_stacks)
"""


@pytest.mark.parametrize("report_mode", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_nist_pack_reports_and_stops_no_synth(report_mode, tmp_path):
    context = {"env": "dev"} | ({"security-report": "true"} if report_mode else {})
    process = output_of(
        [sys.executable, "-c", BARE],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{ROOT}/src", "CDK_OUTDIR": str(tmp_path)}
        | {"CDK_CONTEXT_JSON": json.dumps(context)},
    )
    reports = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    frameworks = {plugin["pluginName"] for plugin in reports if plugin["violations"]}
    assert (process.returncode == 0) is report_mode, process.stderr
    assert frameworks - {"CloudFormation Validate"} == {"AwsSolutions", "sashiko"} | (
        {NIST} if report_mode else set()
    )


def test_findings_in_the_bootstraps_policies_are_explained(tmp_path):
    from sashiko_cdk.bootstrap.policies import write_policies
    from sashiko_cdk.security_report.__main__ import synth_findings

    write_policies(settings_of("serving"), [assembly_of("serving")], tmp_path, report=True)
    frameworks, findings = synth_findings(tmp_path)
    assert NIST in frameworks
    assert "IAMPolicyNoStatementsWithAdminAccess" in {item.rule for item in findings}
    assert [item for item in findings if item.is_open] == []
