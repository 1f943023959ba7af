"""An approved version becomes one commit on a branch, and nothing else changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sashiko_packs.delivery.deliver import served_before
from sashiko_packs.delivery.repository import Repository
from tests.packs.delivery.project import ARN, DEV, Project, git, new_project
from tests.unit.account import two_accounts
from tests.unit.registry.model_packages.account import Killed

LINE = "serving: {{min_instances: 1, enabled: true, model_package_arn: {}}}  # one is enough"


def _served(number: int) -> str:
    return DEV.replace(
        "serving: {min_instances: 1}  # one is enough", LINE.format(ARN.format(number))
    )


def _edit(project: Project, text: str, *, message: str = "somebody's") -> None:
    (project.folder / "config/dev.yaml").write_text(text)
    project.git("commit", "--quiet", "--all", f"--message={message}")


@pytest.fixture
def delivered(project: Project) -> Project:
    """Version 1 is on its branch."""
    project.register(1)
    project.delivered("deliver")
    return project


def test_the_newest_approved_version_is_one_commit_that_changes_one_line(project: Project) -> None:
    project.register(1)
    project.register(2)
    project.register(3, status="PendingManualApproval")
    before = project.references()
    assert project.delivered("deliver") == "model/dev/2"
    assert project.settings("model/dev/2") == _served(2)
    assert project.git("rev-list", "--count", "main..model/dev/2") == "1\n"
    assert project.git("diff", "--name-only", "main", "model/dev/2") == "config/dev.yaml\n"
    project.git("branch", "--delete", "--force", "model/dev/2")
    assert project.references() == before


def test_the_message_says_what_a_reviewer_has_to_know(project: Project) -> None:
    project.register(1)
    project.merge(project.delivered("deliver"))
    project.register(2)
    project.delivered("deliver", "2")
    message = project.git("log", "-1", "--format=%B", "model/dev/2").splitlines()
    assert message[0] == "model: dev serves version 2 in place of 1"
    approver = "Ada (arn:aws:sts::1:assumed-role/x-approver/ada): better, I think"
    assert f"Approved: {approver}" in message
    assert "model-quality: auc is 0.87 [0.85, 0.89]; auc lead over majority is 0.37" in message
    assert f"Model-Package: {ARN.format(2)}" in message
    assert f"Replaces: {ARN.format(1)}" in message


def test_an_approvers_reason_adds_no_command_to_the_message(project: Project) -> None:
    """SageMaker takes no second line, and every other letter."""
    arn = project.register(1)
    project.account.clients.sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="it holds [skip ci]\t\u202e[no ci]",
    )
    project.delivered("deliver")
    message = project.git("log", "-1", "--format=%B", "model/dev/1")
    assert "Approved: it holds (skip ci) (no ci)\n" in message


def test_a_second_call_makes_nothing_new_nor_does_one_after_other_files_changed(
    delivered: Project,
) -> None:
    before = delivered.references()
    assert delivered.delivered("deliver") == "model/dev/1"
    assert delivered.delivered("deliver", "1") == "model/dev/1"
    assert delivered.references() == before

    tip = delivered.git("rev-parse", "model/dev/1")
    delivered.git("commit", "--quiet", "--allow-empty", "--message=another change")
    delivered.delivered("deliver")
    assert delivered.git("rev-parse", "model/dev/1") == tip


def test_of_two_open_branches_one_alone_can_be_merged(delivered: Project) -> None:
    delivered.register(2)
    assert delivered.delivered("deliver") == "model/dev/2"
    delivered.merge("model/dev/2")
    with pytest.raises(AssertionError):
        delivered.merge("model/dev/1")
    delivered.git("merge", "--abort")
    assert delivered.settings("HEAD") == _served(2)


def test_a_branch_of_settings_that_have_changed_since_is_made_anew(delivered: Project) -> None:
    _edit(delivered, DEV.replace("min_instances: 1", "min_instances: 2"))
    with pytest.raises(AssertionError):
        delivered.merge("model/dev/1")
    delivered.git("merge", "--abort")
    assert delivered.delivered("deliver") == "model/dev/1"
    delivered.merge("model/dev/1")
    assert "{min_instances: 2, enabled: true, model_package_arn: " in delivered.settings("HEAD")


def test_a_commit_of_somebody_else_on_the_branch_is_kept(delivered: Project) -> None:
    delivered.git("switch", "--quiet", "model/dev/1")
    delivered.git("commit", "--quiet", "--allow-empty", "--message=a reviewer's")
    delivered.git("switch", "--quiet", "main")
    before = delivered.references()
    assert delivered.delivered("deliver") == "model/dev/1"
    assert delivered.references() == before
    _edit(delivered, DEV.replace("min_instances: 1", "min_instances: 2"))
    assert "holds commits of somebody else: merge or delete it" in delivered.refusal("deliver")


def test_another_clone_takes_the_branch_that_origin_has(project: Project, tmp_path: Path) -> None:
    project.register(1)
    origin, other = tmp_path / "origin.git", tmp_path / "other"
    project.git("init", "--quiet", "--bare", str(origin))
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "origin", "main", project.delivered("deliver"))
    first = project.git("rev-parse", "model/dev/1")
    project.git("clone", "--quiet", "--branch=main", str(origin), str(other))
    # Its own commit would differ by the time.
    project.git("branch", "--delete", "--force", "model/dev/1")
    project.git("fetch", "--quiet", "origin")
    assert project.delivered("deliver") == "model/dev/1"
    assert project.git("rev-parse", "model/dev/1") == first


@pytest.mark.slow
def test_killed_at_any_call_of_git_it_leaves_nothing_and_the_next_run_delivers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.register(1)
    run: Any = Repository._run
    before = project.references()
    kills = 0
    while True:
        left = [kills]

        def die(self: Repository, *arguments: str, left: Any = left, **more: Any) -> Any:
            if left[0] == 0:
                raise Killed(arguments[0])
            left[0] -= 1
            return run(self, *arguments, **more)

        monkeypatch.setattr(Repository, "_run", die)
        try:
            project.delivered("deliver")
            break
        except Killed:
            kills += 1
        assert project.references() == before
    assert kills > 10
    assert project.settings("model/dev/1") == _served(1)


def test_of_two_at_once_one_makes_the_branch(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.register(1)
    commit: Any = Repository.commit

    def overtaken(self: Repository, *arguments: Any) -> str:
        project.git("branch", "model/dev/1", "main")
        return str(commit(self, *arguments))

    monkeypatch.setattr(Repository, "commit", overtaken)
    done = project.sashiko("deliver")
    assert "run the command again" in str(done.exception)
    assert project.git("rev-parse", "model/dev/1") == project.git("rev-parse", "main")
    monkeypatch.setattr(Repository, "commit", commit)
    project.delivered("deliver")
    assert project.settings("model/dev/1") == _served(1)


def test_a_version_that_may_not_be_served_is_refused(project: Project) -> None:
    assert "no version of sashiko-dev-complaint-triage is approved" in project.refusal("deliver")
    project.register(1, status="PendingManualApproval")
    assert "PendingManualApproval, not Approved" in project.refusal("deliver", "1")
    assert "has no version 7; registered: 1" in project.refusal("deliver", "7")


def test_what_the_environment_requires_and_its_account_are_checked_before_the_commit(
    project: Project,
) -> None:
    project.register(1)
    bound = "{min_instances: 1, bounds: [{metric: auc, minimum: 0.9}]}"
    _edit(project, DEV.replace("{min_instances: 1}", bound))
    assert "requires auc at least 0.9" in project.refusal("deliver")
    _edit(project, DEV.replace("tier: dev", "tier: prod"))
    assert "config/dev.yaml: key `serving.min_instances`: 1" in project.refusal("deliver")
    _edit(project, DEV.replace("111122223333", "999999999999"))
    assert "not of dev (account 999999999999" in project.refusal("deliver")


def test_settings_that_no_command_can_change_are_named_with_the_fix(project: Project) -> None:
    project.register(1)
    _edit(project, DEV.replace("{min_instances: 1}", "&own {min_instances: 1, enabled: &on false}"))
    _edit(project, (project.folder / "config/dev.yaml").read_text() + "triggers: {etl: *on}\n")
    refusal = project.refusal("deliver")
    assert refusal.startswith("config/dev.yaml: key `serving`: ")
    assert (
        f"write it as `serving: {{enabled: true, model_package_arn: {ARN.format(1)}}}`" in refusal
    )


def test_a_clone_that_is_not_what_would_be_merged_into_is_refused(project: Project) -> None:
    project.register(1)
    (project.folder / "config/dev.yaml").write_text(DEV + "threads: 1\n")
    assert "config/dev.yaml: not committed" in project.refusal("deliver")
    project.git("checkout", "--quiet", "--", "config/dev.yaml")

    project.git("switch", "--quiet", "--detach")
    assert "no branch is checked out: git switch main" in project.refusal("deliver")

    (project.folder / "config/delivery.yaml").write_text(
        'by: actions\naccount: "111122223333"\nregion: us-east-1\nstages: [dev]\n'
        "source:\n  {host: github, repository: acme/triage, branch: trunk, "
        "ids: {owner: 12, repository: 34}}\n"
    )
    project.git("switch", "--quiet", "main")
    project.git("add", "config/delivery.yaml")
    project.git("commit", "--quiet", "--message=delivery")
    assert "from trunk (key `source.branch` in config/delivery.yaml): git switch trunk" in (
        project.refusal("deliver")
    )
    project.git("switch", "--quiet", "--create", "trunk")
    assert project.delivered("deliver") == "model/dev/1"


def test_without_git_a_repository_or_a_commit_it_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / ".git").rename(project.folder / "elsewhere")
    done = project.sashiko("deliver")
    assert "run the command in the project's clone" in str(done.exception)
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    assert "commit the project first" in str(project.sashiko("deliver").exception)
    monkeypatch.setenv("PATH", "")
    assert "git does not start" in str(project.sashiko("deliver").exception)


def test_a_project_in_a_folder_of_a_larger_repository(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.register(1)
    whole = project.folder.parent / "whole"
    whole.mkdir()
    (project.folder / ".git").rename(whole / ".git")
    project.folder.rename(whole / "triage")
    monkeypatch.chdir(whole / "triage")
    git(whole, "add", "triage/config")
    git(whole, "commit", "--quiet", "--all", "--message=moved")
    project.folder = whole
    assert project.delivered("deliver") == "model/dev/1"
    assert git(whole, "show", "model/dev/1:triage/config/dev.yaml") == _served(1)
    assert git(whole, "diff", "--name-only", "main", "model/dev/1") == "triage/config/dev.yaml\n"


def test_an_unsigned_commit_and_a_changed_version_are_refused(project: Project) -> None:
    """A key that is not there: git refuses, instead of a commit without a signature."""
    project.register(1)
    project.git("config", "commit.gpgsign", "true")
    project.git("config", "gpg.program", "/bin/false")
    assert "git commit-tree" in project.refusal("deliver")
    (key,) = [name for name in project.account.objects() if name.endswith("model.tar.gz")]
    project.account.clients.s3.put_object(Bucket=project.account.bucket, Key=key, Body=b"others")
    assert "is not the file that was signed" in project.refusal("deliver")


FILE = Path("config/dev.yaml")


@pytest.fixture
def served(project: Project) -> Project:
    """Dev has served version 1, then 2, and serves 2."""
    for number in (1, 2):
        project.register(number)
        project.merge(project.delivered("deliver"))
    return project


def test_the_version_before_is_one_commit(served: Project) -> None:
    assert served.delivered("rollback") == "model/dev/1"
    assert served.git("rev-list", "--count", "main..model/dev/1") == "1\n"
    assert ARN.format(1) in served.settings("model/dev/1")
    message = served.git("log", "-1", "--format=%B", "model/dev/1")
    assert message.startswith("model: dev goes back to version 1 in place of 2\n")
    served.merge("model/dev/1")
    before = served.references()
    done = served.sashiko("deliver")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "taken back; to serve it again: sashiko model deliver 2 --env dev" in done.stderr
    assert served.references() == before
    assert served.delivered("deliver", "2") == "model/dev/2"


def test_the_version_that_is_served_was_not_taken_back(served: Project) -> None:
    done = served.sashiko("deliver")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "taken back" not in done.stderr


@pytest.mark.parametrize("decision", ["Rejected", "PendingManualApproval"])
def test_a_version_that_is_no_longer_approved_is_refused(served: Project, decision: str) -> None:
    served.account.decide(1, decision)
    refusal = served.refusal("rollback")
    assert refusal.startswith(f"config/dev.yaml stays as it is: {ARN.format(1)} is {decision}")
    assert "sashiko model list --env dev" in refusal


# One is registered no longer. One is of the account from which the environment was moved.
@pytest.mark.parametrize(
    ("before", "words"),
    [
        (ARN.format(8), f"checking {ARN.format(8)} failed in dev"),
        (ARN.format(8).replace("111122223333", "444455556666"), "is of another account than this"),
    ],
)
def test_a_version_that_is_not_there_is_refused(project: Project, before: str, words: str) -> None:
    for arn in (before, ARN.format(9)):
        (project.folder / FILE).write_text(
            DEV.replace("{min_instances: 1}", f"{{enabled: true, model_package_arn: {arn}}}")
        )
        project.git("commit", "--quiet", "--all", "--message=by hand")
    assert words in project.refusal("rollback")


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A clone without an account."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.com")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    monkeypatch.chdir(tmp_path)
    yield Project(tmp_path, account=None)  # type: ignore[arg-type]  # it is never asked


def _serve(history: Project, version: str) -> None:
    """Commits a file that serves a version, none (`-`), or is not valid (`?`), or no file (`x`)."""
    texts = {"-": "tier: dev\nserving: {enabled: false, model_package_arn: null}\n", "?": "a: ["}
    known = f"tier: dev\nserving:\n  enabled: true\n  model_package_arn: {ARN.format(version)}\n"
    path = history.folder / FILE
    path.parent.mkdir(exist_ok=True)
    if version == "x":
        path.unlink()
    else:
        path.write_text(texts.get(version, known))
    history.git("add", "--all")
    history.git("commit", "--quiet", "--allow-empty", f"--message={version}")


@pytest.mark.parametrize(
    ("versions", "before"),
    [
        ("123", 2),
        ("1232", 1),  # back from 3 to 2: the one before is 1, not 3
        ("123234", 3),
        ("131", None),
        ("53", 5),  # an older version, by its number, is another delivery
        ("1-2", 1),
        ("1?2", 1),
        ("1x2", 1),
    ],
)
def test_the_version_before_follows_from_the_history(
    history: Project, versions: str, before: int | None
) -> None:
    for version in versions:
        _serve(history, version)
    repository = Repository(starts_at=None)
    if before is None:
        with pytest.raises(Exception, match="was served before"):
            served_before(repository, FILE)
    else:
        assert served_before(repository, FILE) == ARN.format(before)


def test_a_merge_counts_once_however_many_commits_it_brings(history: Project) -> None:
    _serve(history, "1")
    history.git("switch", "--quiet", "--create", "side")
    for version in "345":
        _serve(history, version)
    history.git("switch", "--quiet", "main")
    history.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    assert served_before(Repository(starts_at=None), FILE) == ARN.format(1)


def test_nothing_served_and_a_clone_without_history_are_refused(
    history: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in "12":
        _serve(history, version)
    history.git("clone", "--quiet", "--depth=1", f"file://{history.folder}", "shallow")
    monkeypatch.chdir(history.folder / "shallow")
    with pytest.raises(Exception, match="git fetch --unshallow"):
        served_before(Repository(starts_at=None), FILE)
    monkeypatch.chdir(history.folder)
    _serve(history, "-")
    with pytest.raises(Exception, match="nothing is served; `sashiko model deliver VERSION"):
        served_before(Repository(starts_at=None), FILE)


PROD = """\
tier: prod
account: "444455556666"
serving: {{min_instances: 2, max_instances: 4, bounds: [{{metric: auc, minimum: {}}}]}}
promotion: {{source: {{environment: dev, account: "111122223333"}}}}
"""


@pytest.mark.parametrize(("least", "served"), [(0.8, True), (0.9, False)])
def test_prod_names_its_own_copy_if_it_reaches_prods_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float, served: bool
) -> None:
    with two_accounts.two_accounts(monkeypatch, act_as="promoter") as accounts:
        files = two_accounts.evidence(tmp_path)
        two_accounts.register(accounts.dev, files, recipe="complaints")
        copy, _ = accounts.promote()
        project = new_project(
            tmp_path / "clone", accounts.prod, monkeypatch, settings=two_accounts.PROD
        )
        (project.folder / "config/prod.yaml").write_text(PROD.format(least))
        project.git("add", "config/prod.yaml")
        project.git("commit", "--quiet", "--message=prod")
        assert project.refusal("deliver", env="prod").startswith(
            "no version of sashiko-prod-complaint-triage is"
        )

        accounts.prod.decide(copy.version, "Approved")
        if not served:
            assert "requires auc at least 0.9" in project.refusal("deliver", env="prod")
            return
        done = project.sashiko("deliver", env="prod")
        assert done.stdout == "model/prod/1\n", done.output
        assert f"model_package_arn: {copy.arn}" in project.git(
            "show", "model/prod/1:config/prod.yaml"
        )
        message = project.git("log", "-1", "--format=%B", "model/prod/1")
        assert f"A copy of {two_accounts.ROUTE.package(1)}, promoted" in message
        assert "Requires auc at least 0.8: it holds" in message
