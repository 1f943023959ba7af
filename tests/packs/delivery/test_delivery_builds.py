"""The builds of a delivery, in bash with stand-ins for the tools: what they compare and deploy."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.delivery import delivery_template
from tests.infra.variants import named

# It installs a command line that writes what it is called with.
_NPM = """#!/bin/bash
echo "npm $*" >> "$CALLS"
mkdir -p cli/node_modules/.bin
printf '#!/bin/bash\\necho "cdk $*" >> "$CALLS"\\necho what changes\\n' > cli/node_modules/.bin/cdk
chmod +x cli/node_modules/.bin/cdk
"""


def _specs():
    """Project -> what its builds run."""
    projects = named(delivery_template(), "AWS::CodeBuild::Project", "Name")
    return {name: json.loads(item["Source"]["BuildSpec"]) for name, item in projects.items()}


def _bash(commands, **more):
    command = ["bash", "-c", "\n".join(commands)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.fixture
def build(tmp_path):
    """Runs a project's build phase, on an assembly whose tools are stand-ins."""
    source = tmp_path / "files"
    (source / ".venv/bin").mkdir(parents=True)
    (source / ".venv/bin/sashiko").write_text(
        'echo "sashiko $* as ${AWS_PROFILE:-itself}" >> "$CALLS"\n'
        'case "$1" in preflight) exit "$REFUSED";; esac\n'
    )
    (source / "cdk.out/prod").mkdir(parents=True)
    (source / "cdk.out/prod/manifest.json").write_text("{}")
    # What a commit could bring to run where templates are compared.
    (source / "cdk.json").write_text('{"plugin": ["./evil.js"]}')
    (source / ".npmrc").write_text("ignore-scripts=false")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "npx"):
        (tools / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "$CALLS"\n')
    (tools / "npm").write_text(_NPM)
    for script in (source / ".venv/bin/sashiko", *tools.iterdir()):
        script.chmod(0o755)

    def run(name, *, status=0, tamper=False):
        folder = tmp_path / "build"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tar = folder / "assembly.tar"
        subprocess.run(
            ["tar", "-cf", tar, "-C", source, *(path.name for path in source.iterdir())], check=True
        )
        digest = subprocess.run(["sha256sum", tar], capture_output=True, text=True, check=True)
        if tamper:
            tar.write_bytes(tar.read_bytes() + b"\0" * 10240)
        calls = tmp_path / "calls"
        calls.write_text("")
        spec = _specs()[name]
        echoes = [f'echo "{key}=${key}"' for key in spec["env"]["exported-variables"]]
        env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "ASSEMBLY": digest.stdout.split()[0],
            "CALLS": str(calls),
            "REFUSED": str(status),
        }
        done = _bash([*spec["phases"]["build"]["commands"], *echoes], cwd=folder, env=env)
        return done, calls.read_text().splitlines()

    return run


def test_a_comparison_runs_nothing_of_the_commit(build, tmp_path):
    """Before a person has approved: it reads the account, by tools that the template pins."""
    done, calls = build("sashiko-delivery-prod-difference")
    assert done.returncode == 0, done.stderr
    install, diff = calls
    assert install == "npm ci --prefix cli --ignore-scripts --no-audit --no-fund"
    assert diff == "cdk diff --app cdk.out/prod --method=template --no-color"
    assert "what changes" in done.stdout
    folder = tmp_path / "build"
    assert (folder / "difference/diff.txt").read_text() == "what changes\n"
    for name in ("package.json", "package-lock.json"):
        assert (folder / "cli" / name).read_text() == Path(name).read_text()
    # Of the commit there are the templates alone: no settings that name a plugin.
    assert {path.name for path in folder.iterdir()} == {
        "assembly.tar", "cdk.out", "cli", "difference",
    }  # fmt: skip


def test_a_deploy_follows_its_preflight_and_deploys_the_assembly(build):
    done, calls = build("sashiko-delivery-prod-deploy")
    assert done.returncode == 0, done.stderr
    assert calls == [
        "make node_modules/.done",
        "make deploy-tools",
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


def test_the_deploy_of_the_pipeline_needs_no_python(build):
    done, calls = build("sashiko-delivery-delivery-deploy")
    assert done.returncode == 0, done.stderr
    assert calls[0] == "make node_modules/.done" and "cdk.out/delivery" in calls[1]
    assert len(calls) == 2


@pytest.fixture
def clone(tmp_path):
    """Clones a repository of a branch and a feature, as CodeBuild does, and runs a build on it."""
    origin, place = tmp_path / "origin", tmp_path / "clone"
    people = [f"{who}_{key}" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | {
        f"GIT_{person}": "a@b" for person in people
    }

    def git(*arguments):
        subprocess.run(["git", *arguments], check=True, env=env, capture_output=True)

    git("init", "--quiet", "--initial-branch=main", str(origin))
    (origin / "Makefile").write_text('%:\n\t@echo "ran $@"\n')
    git("-C", str(origin), "add", "--all")
    for message in ("first", "second"):
        git("-C", str(origin), "commit", "--quiet", "--allow-empty", f"--message={message}")
    git("-C", str(origin), "switch", "--quiet", "--create", "feature")
    git("-C", str(origin), "commit", "--quiet", "--allow-empty", "--message=unmerged")
    git("-C", str(origin), "switch", "--quiet", "main")

    def run(name, commit, *, fetched=True):
        shutil.rmtree(place, ignore_errors=True)
        git("clone", "--quiet", str(origin), str(place))
        git("-C", str(place), "checkout", "--quiet", "--detach", commit)
        if not fetched:
            git("-C", str(place), "update-ref", "-d", "refs/remotes/origin/main")
        commands = _specs()[name]["phases"]["build"]["commands"]
        return _bash(commands, cwd=place, env=env)

    return run


@pytest.mark.parametrize("part", ["test", "synth"])
@pytest.mark.parametrize("fetched", [True, False], ids=["cloned", "fetched"])
def test_a_commit_that_was_not_merged_is_refused_before_it_runs(clone, part, fetched):
    """An execution can be started with any commit of the repository."""
    name = f"sashiko-delivery-{part}"
    refused = clone(name, "origin/feature", fetched=fetched)
    assert refused.returncode == 1
    assert "This commit is not in the branch main. Nothing of it was run" in refused.stdout
    assert "ran " not in refused.stdout
    for merged in ("origin/main", "origin/main~1"):
        assert "ran " in clone(name, merged, fetched=fetched).stdout


def test_whoever_clones_may_fetch_the_branch_and_nobody_else_gets_a_credential():
    for name, spec in _specs().items():
        clones = name.removeprefix("sashiko-delivery-") in ("test", "synth", "models")
        assert spec["env"].get("git-credential-helper") == ("yes" if clones else None)
