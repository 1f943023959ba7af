"""The workflow of GitHub Actions, and that actionlint and zizmor have nothing to say of any."""

import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.testing import CliRunner

from sashiko.account.access.policy_evaluation import statements
from sashiko.cli import app
from sashiko.errors import InputError
from sashiko.settings.delivery import Delivery
from sashiko_packs.delivery.commands import WorkflowName, render_workflow
from tests.infra.both_sides import trusts
from tests.infra.variants import complete_request, output_of
from tests.packs.delivery.project import bare_origin, git

ROOT = Path.cwd()
ACCOUNTS = {"dev": "111122223333", "staging": "333344445555", "prod": "444455556666"}
DELIVERY = """\
by: actions
account: "777788889999"
region: us-east-1
source:
  {{host: github, repository: acme/churn, branch: {branch}, ids: {{owner: 12, repository: 34}}}}
stages: [{stages}]
"""


def _config(folder: Path, *stages: str, branch: str = "main") -> Path:
    (folder / "base.yaml").write_bytes((ROOT / "config/base.yaml").read_bytes())
    for stage in stages:
        (folder / f"{stage}.yaml").write_text(f'tier: dev\naccount: "{ACCOUNTS[stage]}"\n')
    text = DELIVERY.format(branch=branch, stages=", ".join(stages))
    (folder / "delivery.yaml").write_text(text)
    return folder


def _jobs(folder: Path, *stages: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(render_workflow(folder=_config(folder, *stages)))["jobs"]
    return jobs


def _findings(file: Path) -> str:
    """What the linters print where they find something."""
    texts = []
    tools = Path(sys.executable).parent
    for command in (
        [str(tools / "actionlint"), "-shellcheck=", "-pyflakes=", str(file)],
        [str(tools / "zizmor"), "--offline", "--no-progress", str(file)],
    ):
        run = output_of(command)
        texts.append(run.stdout + run.stderr if run.returncode else "")
    return "".join(texts)


@pytest.mark.parametrize("stages", [("dev",), ("dev", "staging", "prod")])
@pytest.mark.parametrize("name", get_args(WorkflowName))
def test_the_linters_have_nothing_to_say_of_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: WorkflowName, stages: tuple[str, ...]
) -> None:
    (tmp_path / "config").mkdir()
    _config(tmp_path / "config", *stages)
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(app, ["env", "workflow", name], catch_exceptions=False)
    file = tmp_path / f"{name}.yml"
    file.write_text(printed.stdout)
    assert "jobs:" in printed.stdout
    assert _findings(file) == ""


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=str)
def test_the_linters_have_nothing_to_say_of_the_checkouts_own(file: Path) -> None:
    assert _findings(file) == ""


def test_each_stage_comes_after_the_one_before_it_and_after_its_own_diff(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, "dev", "staging", "prod")
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "reviewers": None,
        "build": ["reviewers"],
        "diff-dev": ["build"],
        "deploy-dev": ["build", "diff-dev"],
        "diff-staging": ["build", "deploy-dev"],
        "deploy-staging": ["build", "diff-staging"],
        "diff-prod": ["build", "deploy-staging"],
        "deploy-prod": ["build", "diff-prod"],
    }
    environments = {name: job["environment"] for name, job in jobs.items() if "environment" in job}
    assert environments == {f"deploy-{stage}": stage for stage in ACCOUNTS}


@pytest.mark.parametrize(("tier", "approved"), [("dev", ["prod"]), ("prod", ["dev", "prod"])])
def test_a_person_approves_what_delivers_whatever_a_job_says(
    tmp_path: Path, tier: str, approved: list[str]
) -> None:
    """GitHub asks the reviewers of a job's environment: its name must not be a job's output."""
    folder = _config(tmp_path, "dev", "prod")
    (folder / "dev.yaml").write_text(f'tier: {tier}\naccount: "{ACCOUNTS["dev"]}"\n')
    jobs = yaml.safe_load(render_workflow(folder=folder))["jobs"]
    assert not [job for job in jobs.values() if "${{" in str(job.get("environment"))]
    assert f"for name in {' '.join(approved)}; do" in str(jobs["reviewers"])
    deploys = {name: str(jobs[f"deploy-{name}"]["steps"]) for name in ("dev", "prod")}
    whole = {name for name, steps in deploys.items() if " --all " in steps}
    assert whole == set(approved)
    without_the_roles = {name for name, steps in deploys.items() if "'!GitHubActions'" in steps}
    assert without_the_roles == {"dev", "prod"} - whole
    assert all("--exclusively" in deploys[name] for name in without_the_roles)


def test_a_delivery_ends_at_once_if_nobody_would_review_it(tmp_path: Path) -> None:
    """By the step's own shell, with GitHub's command line in its place."""
    (step,) = _jobs(tmp_path, "dev", "staging", "prod")["reviewers"]["steps"]
    gh = tmp_path / "gh"
    gh.write_text(
        "#!/bin/sh\necho $2 >> $LOG\ncase $2 in */prod) echo wait_timer ;; *) echo "
        "required_reviewers ;; esac\n"
    )
    gh.chmod(0o755)
    log = tmp_path / "log"
    run = output_of(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "LOG": str(log),
            "GITHUB_REPOSITORY": "acme/churn",
        },
    )
    assert run.returncode == 1
    assert "the environment prod has no required reviewers" in run.stdout
    environments = [line.rpartition("/")[2] for line in log.read_text().splitlines()]
    assert environments == ["staging", "prod"]


def test_every_stage_gets_the_assembly_that_was_synthesized_once_and_alone_has_a_token(
    tmp_path: Path,
) -> None:
    """What runs a project's own tests could otherwise act in an account."""
    jobs = _jobs(tmp_path, "dev", "prod")
    with_token = {name for name, job in jobs.items() if "id-token" in job["permissions"]}
    assert with_token == {"diff-dev", "deploy-dev", "diff-prod", "deploy-prod"}
    roles = {
        name: step["with"]["role-to-assume"]
        for name, job in jobs.items()
        for step in job["steps"]
        if "role-to-assume" in step.get("with", {})
    }
    assert roles == {
        "diff-dev": "arn:aws:iam::111122223333:role/sashiko-dev-github-reader",
        "deploy-dev": "arn:aws:iam::111122223333:role/sashiko-dev-github-deployer",
        "diff-prod": "arn:aws:iam::444455556666:role/sashiko-prod-github-reader",
        "deploy-prod": "arn:aws:iam::444455556666:role/sashiko-prod-github-deployer",
    }
    assert "secrets." not in render_workflow(folder=tmp_path)

    synths = [name for name, job in jobs.items() if "make synth" in str(job["steps"])]
    assert synths == ["build"]
    for name in set(jobs) - {"reviewers", "build"}:
        (unpacking,) = (step for step in jobs[name]["steps"] if "tar -xf" in step.get("run", ""))
        check, unpack = unpacking["run"].splitlines()
        assert unpacking["env"] == {"SHA256": "${{ needs.build.outputs.sha256 }}"}
        assert (check, unpack) == (
            'echo "$SHA256  assembly.tar" | sha256sum --check',
            "tar -xf assembly.tar",
        )
        stage = name.partition("-")[2]
        assert f"--app cdk.out/{stage} " in str(jobs[name]["steps"])


_COMMAND = """\
#!/bin/bash
set -eu
echo "$*" >> "$LOG"
[ ! -e "$LOG.nothing" ] || exit 0
remote=refs/remotes/origin/model/dev/3
git rev-parse --quiet --verify $remote > /dev/null ||
  remote=$(git commit-tree -p HEAD -m delivery HEAD^{tree})
git update-ref refs/heads/model/dev/3 $remote
echo model/dev/3
"""
# It answers with the commits of pull requests that were opened.
_GH = """\
#!/bin/bash
echo "gh $1 $2" >> "$LOG"
case "$1 $2" in
  "pr list") cat "$LOG.opened" 2> /dev/null || true ;;
  "pr create") git rev-parse model/dev/3 >> "$LOG.opened" ;;
esac
"""


def test_an_approved_version_is_one_pull_request(tmp_path: Path) -> None:
    """By the step's own shell, with git, and stand-ins for the command and for GitHub's."""
    text = render_workflow("model-delivery", folder=_config(tmp_path, "dev"))
    job = yaml.safe_load(text)["jobs"]["deliver-dev"]
    assert "environment" not in job  # nobody approves before there is something to look at
    step = job["steps"][-1]
    log, origin, clone = (tmp_path / name for name in ("log", "origin.git", "clone"))
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LOG": str(log),
        **{key: value for key, value in step["env"].items() if key != "GH_TOKEN"},
    }

    bare_origin(origin, "main", env=environment)
    git(tmp_path, "clone", "--quiet", str(origin), str(clone), env=environment)
    (clone / ".venv/bin").mkdir(parents=True)
    for file, content in ((clone / ".venv/bin/sashiko", _COMMAND), (tmp_path / "gh", _GH)):
        file.write_text(content)
        file.chmod(0o755)

    def deliver() -> list[str]:
        log.unlink(missing_ok=True)
        run = output_of(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=clone,
            env=environment,
        )
        assert run.returncode == 0, run.stderr
        return log.read_text().splitlines()

    before = ["gh auth setup-git", "model deliver --env dev"]
    assert deliver() == [*before, "gh pr list", "gh pr create"]
    assert "refs/heads/model/dev/3" in git(origin, "for-each-ref")
    assert deliver() == [*before, "gh pr list"]
    Path(f"{log}.nothing").touch()
    assert deliver() == before


def test_the_workflow_is_of_the_branch_that_is_delivered(tmp_path: Path) -> None:
    text = render_workflow(folder=_config(tmp_path, "dev", branch="release/2026"))
    # YAML reads `on` as true.
    assert yaml.safe_load(text)[True] == {"push": {"branches": ["release/2026"]}}


@pytest.mark.parametrize(
    ("change", "words"), [(None, "does not exist"), ("codepipeline", "needs `actions`")]
)
def test_without_actions_there_is_no_workflow(
    tmp_path: Path, change: str | None, words: str
) -> None:
    file = _config(tmp_path, "dev") / "delivery.yaml"
    connection = (
        "arn:aws:codeconnections:us-east-1:777788889999:connection/"
        + "0" * 8
        + ("-0000-0000-0000-" + "0" * 12)
    )
    if change:
        text = file.read_text().replace("actions", change)
        file.write_text(text.replace("branch: main", f'branch: main, connection: "{connection}"'))
    else:
        file.unlink()
    with pytest.raises(InputError, match=words):
        render_workflow(folder=tmp_path)


PAGE = Path.cwd() / "docs/delivery.md"
PROVIDER = "arn:aws:iam::111122223333:oidc-provider/gitlab.com"
MAIN = {"aud": "sts.amazonaws.com", "sub": "project_path:acme/churn:ref_type:branch:ref:main"}


def _block(language: str, *, section: str = "GitLab") -> str:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2]
    block = re.search(rf"```{language}\n(.*?)```", text, re.S)
    assert block
    return block[1]


def test_the_settings_for_github_are_valid() -> None:
    delivery = Delivery.model_validate(yaml.safe_load(_block("yaml", section="GitHub Actions")))
    assert delivery.source.subject == "repo:acme@1234/churn@567890"


def _lets_in(claims: dict[str, str]) -> bool:
    context = {f"gitlab.com:{name}": value for name, value in claims.items()}
    request = complete_request(
        "sts:AssumeRoleWithWebIdentity", "*", context | {"aws:principalarn": PROVIDER}
    )
    return trusts(statements(json.loads(_block("json"))), request)


def test_the_trust_lets_the_branch_in_and_nobody_else() -> None:
    assert _lets_in(MAIN)
    for claims in (
        {"sub": "project_path:acme/churn:ref_type:branch:ref:feature"},
        {"sub": "project_path:acme/churn:ref_type:tag:ref:main"},
        {"sub": "project_path:acme/other:ref_type:branch:ref:main"},
        {"aud": "https://gitlab.com"},
    ):
        assert not _lets_in(MAIN | claims)


def test_the_jobs_token_is_for_whom_the_trust_expects() -> None:
    (job,) = yaml.safe_load(_block("yaml")).values()
    tokens: dict[str, Any] = job["id_tokens"]
    assert [token["aud"] for token in tokens.values()] == [MAIN["aud"]]
    (name,) = tokens
    assert any(f'"${name}"' in line for line in job["script"])
