"""A rollback is one command and one commit: the version that was served before, checked again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sashiko_packs.delivery.deliver import served_before
from sashiko_packs.delivery.repository import Repository
from tests.packs.delivery.project import ARN, DEV, Project, git

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


def _serve_by_hand(project: Project, *arns: str) -> None:
    for arn in arns:
        (project.folder / FILE).write_text(
            DEV.replace("{min_instances: 1}", f"{{enabled: true, model_package_arn: {arn}}}")
        )
        project.git("commit", "--quiet", "--all", "--message=by hand")


def test_a_version_that_is_no_longer_registered_is_refused(project: Project) -> None:
    _serve_by_hand(project, ARN.format(8), ARN.format(9))
    assert f"checking {ARN.format(8)} failed in dev" in project.refusal("rollback")


def test_a_version_of_another_account_is_refused(project: Project) -> None:
    """The environment was moved: what the old account has is not there."""
    other = ARN.format(1).replace("111122223333", "444455556666")
    _serve_by_hand(project, other, ARN.format(2))
    assert "is of another account than this environment serves" in project.refusal("rollback")


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A clone without an account."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.com")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    monkeypatch.chdir(tmp_path)
    yield Project(tmp_path, account=None)  # type: ignore[arg-type]


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
        ("12", 1),
        ("123", 2),
        ("1232", 1),  # back from 3 to 2: the one before is 1, not 3
        ("12321", None),
        ("12343", 2),
        ("123234", 3),
        ("131", None),
        ("53", 5),  # an older version, by its number, is another delivery
        ("1-2", 1),
        ("1?2", 1),
        ("1x2", 1),
        ("1122", 1),
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
