"""`sashiko upgrade`: a project with a team's edits moves to a later engine, and loses nothing."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sashiko import __version__
from sashiko.project.wheel import build_wheel
from tests.e2e.scaffold.projects import FIRST_PACKS, PACK_FILES, Attempt, Project, new
from tests.project_root import REPOSITORY
from verification.guards.copies import copy_tree

NEXT = "0.2.0"
# What the team edits: a line of its own in every file that it owns, by the files' comments.
OWNED = re.compile(r"^(config|contracts|recipes|pipelines|infra|src|tests|\.ci|images)/|^[^/]*$")
NO_COMMENTS = {".copier-answers.yml", "cdk.json", "package.json", "package-lock.json"}
MARK = "# the team's own line\n"
STATEFUL = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Glue::Database", "AWS::Glue::Table")


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("later") / "engine"
    root.mkdir()
    copy_tree(REPOSITORY, root)
    set_version(root, NEXT)
    edit(root / "config/base.yaml", "threads: 2", "threads: 3")
    edit(root / "config/base.yaml", "amount: 200", "amount: 250")
    edit(root / "infra/stacks/network.py", '"""The', '"""Version 0.2: the')
    edit(root / "recipes/complaints-inf2.yaml", "The same model", "The very same model")
    (root / "template/tests/test_more.py").write_text('"""New in 0.2."""\n')
    (root / "template/requirements/project.in").unlink()
    return build_wheel(root, tmp_path_factory.mktemp("later-wheel")).path


def edit(file: Path, there: str, put: str) -> None:
    text = file.read_text()
    assert text.count(there) == 1, (file, there, text.count(there))
    file.write_text(text.replace(there, put))


def set_version(root: Path, version: str) -> None:
    edit(root / "src/sashiko/__init__.py", f'"{__version__}"', f'"{version}"')
    edit(root / "pyproject.toml", f'\nversion = "{__version__}"', f'\nversion = "{version}"')


@pytest.fixture(scope="module")
def upgraded(
    tmp_path_factory: pytest.TempPathFactory, wheel: Path, later: Path
) -> tuple[Project, dict[str, bytes], Attempt]:
    """An upgraded project with a team's edits, its files before, and the command's result."""
    folder = tmp_path_factory.mktemp("upgrade") / "loan-triage"
    done = new(folder, "--defaults", wheel=wheel)
    assert done.returncode == 0, done.stderr
    project = Project(folder)
    for name in project.files():
        if OWNED.match(name) and Path(name).name not in NO_COMMENTS:
            file = project.root / name
            file.write_text(file.read_text() + ("<!-- own -->\n" if name.endswith(".md") else MARK))
    edit(project.root / "config/base.yaml", "threads: 2", "threads: 8")
    (project.root / "src/loan_triage/own.py").write_text('"""Own code."""\n')
    (project.root / "logo.png").write_bytes(b"\x89PNG\0\1\2")
    (project.root / "recipes/complaints-unmitigated.yaml").unlink()
    project.commit()
    return project, project.files(), project.sashiko("upgrade", later)


@pytest.mark.slow
def test_a_conflict_is_marked_and_named_and_the_status_is_4(upgraded):
    project, _, done = upgraded
    assert done.returncode == 4
    assert "conflict  config/base.yaml" in done.stdout.splitlines()
    assert done.stdout.count("conflict ") == 1
    assert "edit the marked lines" in done.stderr
    settings = (project.root / "config/base.yaml").read_text()
    assert "<<<<<<<" in settings
    assert "threads: 8" in settings
    assert "threads: 3" in settings


@pytest.mark.slow
def test_what_did_not_meet_is_merged(upgraded: tuple[Project, dict[str, bytes], Attempt]) -> None:
    project, _, done = upgraded
    assert "amount: 250" in (project.root / "config/base.yaml").read_text()
    network = (project.root / "infra/stacks/network.py").read_text()
    assert network.startswith('"""Version 0.2: the')
    assert network.endswith(MARK)
    assert "changed   tests/test_more.py" in done.stdout.splitlines()
    assert (project.root / "tests/test_more.py").is_file()


def test_nothing_of_the_teams_is_lost(upgraded: tuple[Project, dict[str, bytes], Attempt]) -> None:
    project, before, _ = upgraded
    after = project.files()
    for name, content in before.items():
        if content.endswith(MARK.encode()):
            assert name in after, name
            assert MARK.encode() in after[name], name
    for name in ("src/loan_triage/own.py", "logo.png", "src/loan_triage/steps/text_lengths.py"):
        assert after[name] == before[name]
    assert "recipes/complaints-unmitigated.yaml" not in after


def test_the_new_engine_is_pinned_and_the_old_wheel_gone(upgraded, later):
    project, _, _ = upgraded
    assert [path.name for path in (project.root / "vendor").iterdir()] == [later.name]
    pinned = (project.root / "requirements/engine.txt").read_text()
    assert f"./vendor/{later.name} --hash=sha256:" in pinned
    assert str(later.parent) not in (project.root / ".copier-answers.yml").read_text()
    assert "_src_path" not in (project.root / ".copier-answers.yml").read_text()


@pytest.mark.slow
def test_stateful_resources_keep_their_logical_ids(upgraded, made, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("the CDK needs Node.js 18")
    project, _, _ = upgraded
    file = project.root / "config/base.yaml"
    marked = file.read_text()
    resolved = re.sub(r"<{7}[^\n]*\n(.*?)={7}\n.*?>{7}[^\n]*\n", r"\1", marked, flags=re.S)
    file.write_text(resolved)
    try:
        after = stateful_ids(project, tmp_path / "after")
    finally:
        file.write_text(marked)
    assert after == stateful_ids(made, tmp_path / "before")
    assert sum(map(len, after.values())) > 10


def stateful_ids(project: Project, folder: Path) -> dict[str, set[str]]:
    """Returns the logical ids of buckets, keys and tables by stack, of a synth of dev."""
    context = json.loads((project.root / "cdk.json").read_text())["context"] | {"env": "dev"}
    variables = {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(folder)}
    done = project.python("-m", "infra.app", **variables)
    assert done.returncode == 0, done.stderr
    return {
        path.name: {
            id
            for id, resource in json.loads(path.read_text()).get("Resources", {}).items()
            if resource["Type"] in STATEFUL
        }
        for path in folder.glob("*.template.json")
    }


@pytest.mark.slow
def test_what_cannot_be_upgraded_is_named_and_nothing_changes(tmp_path, wheel: Path, later: Path):
    folder = tmp_path / "project"
    assert new(folder, "--defaults", wheel=wheel).returncode == 0
    project = Project(folder)
    project.commit()
    before = project.files()

    def refused(to: Path, message: str) -> None:
        done = project.sashiko("upgrade", to)
        assert done.returncode == 1
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr

    refused(wheel, "name a later version")
    refused(tmp_path / "gone.whl", "does not exist")
    (tmp_path / "other.whl").write_bytes(wheel.read_bytes())
    refused(tmp_path / "other.whl", "expected a file sashiko-")
    assert project.files() == before

    edit(project.root / "config/base.yaml", "threads: 2", "threads: 8")
    refused(later, "uncommitted changes")
    project.git("checkout", "--quiet", "config/base.yaml")

    (project.root / "vendor" / wheel.name).write_bytes(wheel.read_bytes() + b"more")
    project.commit()
    refused(later, "does not have the digest")
    (project.root / ".copier-answers.yml").unlink()
    project.commit()
    refused(later, ".copier-answers.yml does not exist")


@pytest.mark.slow  # the test of what the team edited has the same upgrade
def test_a_project_without_edits_is_upgraded_to_what_the_later_engine_makes(tmp_path, wheel, later):
    for name, engine in (("old/project", wheel), ("new/project", later)):
        assert new(tmp_path / name, "--defaults", wheel=engine).returncode == 0
    project = Project(tmp_path / "old/project")
    project.commit()
    done = project.sashiko("upgrade", later)
    assert done.returncode == 0, done.stderr
    assert "deleted   requirements/project.in" in done.stdout.splitlines()
    assert project.files() == Project(tmp_path / "new/project").files()
    status = ["git", "-C", str(project.root), "stash", "list"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("earlier") / "engine"
    root.mkdir()
    copy_tree(REPOSITORY, root)
    set_version(root, "0.0.9")
    for name, pattern in {
        "copier.yml": r"(?ms)^# A project from before this question.*?(?=^data_file:)",
        "template/config/base.yaml.jinja": r"(?m)\n  \| regex_replace.*$",
        "config/base.yaml": r"(?m)^packs: .*\n",
    }.items():
        text, count = re.subn(pattern, "", (root / name).read_text())
        assert count, name
        (root / name).write_text(text + (" -}}" if name.endswith(".jinja") else ""))
    copier = root / "copier.yml"
    copier.write_text(re.sub(r"(?m)^  - .*not in packs.*\n", "", copier.read_text()))
    for name in ("template/delivery.mk", "template/operations.mk"):
        (root / name).unlink(missing_ok=True)
    for monitor in root.glob("pipelines/monitor.py"):
        monitor.write_text(f"# Of before.\n{monitor.read_text()}")
    return build_wheel(root, tmp_path_factory.mktemp("earlier-wheel")).path


OWN_STEP = "from sashiko.core.job_folders import processing_input\n"
OWN_STACK = """from sashiko.aws.resources import names
from sashiko.core.gone import thing
from sashiko_cdk.lake.monitor_access import MonitorAccess
"""


@pytest.mark.slow
def test_a_project_from_before_the_packs_has_all_of_them_and_the_new_names(
    tmp_path: Path, wheel: Path, earlier: Path
) -> None:
    done = new(tmp_path / "loan-triage", "--defaults", wheel=earlier)
    assert done.returncode == 0, done.stderr
    project = Project(tmp_path / "loan-triage")
    assert "packs" not in yaml.safe_load((project.root / "config/base.yaml").read_text())
    own = {"src/loan_triage/steps/own.py": OWN_STEP, "infra/stacks/own.py": OWN_STACK}
    for name, text in own.items():
        (project.root / name).write_text(text)
    project.commit()

    done = project.sashiko("upgrade", wheel)

    assert done.returncode == 4
    assert "error: infra/stacks/own.py:2: sashiko.core.gone.thing is not in the new" in done.stderr
    assert "conflict" not in done.stdout
    assert {f"changed   {name}" for name in own} <= set(done.stdout.splitlines())
    step, stack = ((project.root / name).read_text() for name in own)
    assert step == "from sashiko.base.job_folders import processing_input\n"
    assert stack.splitlines() == [
        "from sashiko.account import names",
        "from sashiko.core.gone import thing",
        "from sashiko_packs.monitoring.constructs.access import MonitorAccess",
    ]
    settings = yaml.safe_load((project.root / "config/base.yaml").read_text())
    assert settings["packs"] == [*FIRST_PACKS]
    assert ("bedrock" in settings) == ("bedrock" in FIRST_PACKS)
    for pack, file in ({"operations": "operations.mk"} | PACK_FILES).items():
        assert (project.root / file).is_file() == (pack in FIRST_PACKS), file
    done = project.sashiko("definition", "--check")
    assert done.returncode == 0, done.stderr
