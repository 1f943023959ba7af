"""The builds of a delivery, in bash with stand-ins for the tools: what they compare and deploy."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.delivery import delivery_template, tools_template
from tests.infra.variants import named, output_of
from tests.packs.delivery.project import bare_origin, git

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
    return output_of(command, **more)


PEOPLE = {f"GIT_{who}_{key}": "a@b" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


@pytest.fixture
def build(tmp_path):
    """Runs a project's build phase, on an assembly whose tools are stand-ins."""
    if shutil.which("sha256sum") is None:
        pytest.skip("CodeBuild has sha256sum, which its commands call")
    source = tmp_path / "files"
    (source / ".venv/bin").mkdir(parents=True)
    (source / ".venv/bin/sashiko").write_text(
        'echo "sashiko $* as ${AWS_PROFILE:-itself}" >> "$CALLS"\n'
        'case "$2" in preflight) exit "$REFUSED";; esac\n'
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
        "sashiko env preflight --env prod as lookup",
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
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **PEOPLE}

    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin), env=env)
    (origin / "Makefile").write_text('%:\n\t@echo "ran $@"\n')
    commit = ["commit", "--quiet", "--allow-empty", "--message=some"]
    switch = ["switch", "--quiet"]
    steps = [["add", "--all"], commit, commit, [*switch, "--create", "feature"], commit]
    for step in (*steps, [*switch, "main"]):
        git(origin, *step, env=env)

    def run(name, commit, *, fetched=True):
        shutil.rmtree(place, ignore_errors=True)
        git(tmp_path, "clone", "--quiet", str(origin), str(place), env=env)
        git(place, "checkout", "--quiet", "--detach", commit, env=env)
        if not fetched:
            git(place, "update-ref", "-d", "refs/remotes/origin/main", env=env)
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


REPOSITORIES = {
    "github": "https://github.com/acme/triage",
    "gitlab": "https://gitlab.com/acme/triage",
    "bitbucket": "https://bitbucket.org/acme/triage",
}
# It makes the branch that the command would; `overtaken` is a push of another build in between.
_COMMAND = """\
#!/bin/bash
set -eu
echo "$AWS_PROFILE: $*" >> "$CALLS"
test "$(git symbolic-ref --short HEAD)" = main
grep -q "role_arn = arn:the-role" "$(eval echo "$AWS_CONFIG_FILE")"
remote=refs/remotes/origin/model/dev/3
if [ -e "$CALLS.overtaken" ]; then
  rm "$CALLS.overtaken"; git -C "$ORIGIN" branch model/dev/3 side
elif git rev-parse --quiet --verify $remote > /dev/null; then
  git update-ref refs/heads/model/dev/3 $remote; echo model/dev/3; exit
fi
[ ! -e "$CALLS.nothing" ] || exit 0
git update-ref refs/heads/model/dev/3 $(git commit-tree -p HEAD -m delivery HEAD^{tree})
echo model/dev/3
"""
_AWS = '#!/bin/bash\nprintf "%s|" "$@" >> "$CALLS.aws"\n'


@pytest.fixture
def deliver(tmp_path, monkeypatch):
    """Runs a host's build in a fresh clone; returns the calls of `aws`, and the branches."""
    origin, calls = tmp_path / "origin.git", tmp_path / "calls"
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, text in {"aws": _AWS, "make": "#!/bin/bash\n"}.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    environment = {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "CALLS": str(calls),
        "ORIGIN": str(origin),
        "ENVIRONMENT": "dev",
        "ROLE": "arn:the-role",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        **PEOPLE,
    }

    bare_origin(origin, "main", "side", env=environment)
    git(origin, "config", "receive.advertisePushOptions", "true", env=environment)
    runs = iter(range(9))

    def run(host="github", *, overtaken=False, nothing=False):
        projects = named(tools_template(host), "AWS::CodeBuild::Project", "Name")
        source = projects["sashiko-delivery-models"]["Source"]
        (command,) = json.loads(source["BuildSpec"])["phases"]["build"]["commands"]
        url = f"url.{origin}.insteadOf"
        git(tmp_path, "config", "--global", url, source["Location"], env=environment)
        clone = tmp_path / f"clone-{next(runs)}"
        git(tmp_path, "clone", "--quiet", str(origin), str(clone), env=environment)
        git(clone, "checkout", "--quiet", "--detach", env=environment)
        sashiko = clone / ".venv/bin/sashiko"
        sashiko.parent.mkdir(parents=True)
        sashiko.write_text(_COMMAND)
        sashiko.chmod(0o755)
        for name, applies in (("overtaken", overtaken), ("nothing", nothing)):
            if applies:
                Path(f"{calls}.{name}").touch()
        calls_of_aws = Path(f"{calls}.aws")
        calls_of_aws.unlink(missing_ok=True)
        done = output_of(["bash", "-c", command], cwd=clone, env=environment)
        assert done.returncode == 0, done.stderr
        tips = git(origin, "for-each-ref", "--format=%(refname:short) %(subject)", env=environment)
        branches = dict(line.split() for line in tips.splitlines())
        return calls_of_aws.read_text() if calls_of_aws.exists() else "", branches.get(
            "model/dev/3"
        )

    return run


@pytest.mark.parametrize("host", REPOSITORIES)
def test_the_build_pushes_a_branch_and_says_where_to_review_it_once(deliver, host):
    message, tip = deliver(host)
    assert tip == "delivery"
    assert "model/dev/3: an approved version" in message
    assert f"Review and merge it: {REPOSITORIES[host]}/" in message
    assert "model/dev/3" in message.partition("Review")[2]
    assert deliver(host) == ("", "delivery")


def test_a_build_that_was_overtaken_takes_the_branch_that_is_there(deliver):
    message, tip = deliver(overtaken=True)
    assert (message, tip) == ("", "side")


def test_where_nothing_is_to_be_delivered_nothing_is_pushed(deliver):
    assert deliver(nothing=True) == ("", None)
