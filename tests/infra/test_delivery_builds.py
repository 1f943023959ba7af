"""The builds of a delivery, in bash with stand-ins for the tools: what they compare and deploy."""

import json
import os
import shutil
import subprocess

import pytest

from tests.infra.delivery import delivery_template
from tests.infra.variants import some


@pytest.fixture
def build(tmp_path):
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

    projects = some(delivery_template(), "AWS::CodeBuild::Project").values()
    specs = {
        item["Properties"]["Name"]: item["Properties"]["Source"]["BuildSpec"] for item in projects
    }

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
        spec = json.loads(specs[name])
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
