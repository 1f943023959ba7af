"""The build that delivers an approved version: its commands, by bash and git."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.infra.variants import resources
from tests.packs.delivery.model_tools import tools_template

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
def build(tmp_path, monkeypatch):
    """Runs a host's build in a fresh clone; returns the calls of `aws`, and the branches."""
    origin, calls = tmp_path / "origin.git", tmp_path / "calls"
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, text in {"aws": _AWS, "make": "#!/bin/bash\n"}.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    people = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "build"), ("EMAIL", "build@example.com"))
    }
    environment = {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "CALLS": str(calls),
        "ORIGIN": str(origin),
        "ENVIRONMENT": "dev",
        "ROLE": "arn:the-role",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        **people,
    }

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git("-C", str(origin), "config", "receive.advertisePushOptions", "true")
    tree = git("-C", str(origin), "hash-object", "-t", "tree", "-w", "/dev/null")
    for branch in ("main", "side"):
        commit = git("-C", str(origin), "commit-tree", "-m", branch, tree)
        git("-C", str(origin), "update-ref", f"refs/heads/{branch}", commit)
    runs = iter(range(9))

    def run(host="github", *, overtaken=False, nothing=False):
        template = tools_template(host)
        (project,) = (
            item
            for item in resources(template, "AWS::CodeBuild::Project").values()
            if item["Properties"]["Name"] == "sashiko-delivery-models"
        )
        spec = json.loads(project["Properties"]["Source"]["BuildSpec"])
        (command,) = spec["phases"]["build"]["commands"]
        url = project["Properties"]["Source"]["Location"]
        git("config", "--global", f"url.{origin}.insteadOf", url)
        clone = tmp_path / f"clone-{next(runs)}"
        git("clone", "--quiet", str(origin), str(clone))
        git("-C", str(clone), "checkout", "--quiet", "--detach")
        sashiko = clone / ".venv/bin/sashiko"
        sashiko.parent.mkdir(parents=True)
        sashiko.write_text(_COMMAND)
        sashiko.chmod(0o755)
        for name, applies in (("overtaken", overtaken), ("nothing", nothing)):
            if applies:
                Path(f"{calls}.{name}").touch()
        calls_of_aws = Path(f"{calls}.aws")
        calls_of_aws.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        branches = git("-C", str(origin), "for-each-ref", "--format=%(refname:short)").split()
        tip = (
            git("-C", str(origin), "log", "--format=%s", "-1", "model/dev/3")
            if ("model/dev/3" in branches)
            else None
        )
        return calls_of_aws.read_text() if calls_of_aws.exists() else "", tip

    return run


@pytest.mark.parametrize("host", REPOSITORIES)
def test_the_build_pushes_a_branch_and_says_where_to_review_it_once(build, host):
    message, tip = build(host)
    assert tip == "delivery"
    assert "model/dev/3: an approved version" in message
    assert f"Review and merge it: {REPOSITORIES[host]}/" in message
    assert "model/dev/3" in message.partition("Review")[2]
    assert build(host) == ("", "delivery")


def test_a_build_that_was_overtaken_takes_the_branch_that_is_there(build):
    message, tip = build(overtaken=True)
    assert (message, tip) == ("", "side")


def test_where_nothing_is_to_be_delivered_nothing_is_pushed(build):
    assert build(nothing=True) == ("", None)
