"""A project of the engine before its packs: deployed, upgraded and updated, and its run is read."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sashiko.project.wheel import build_wheel
from tests.e2e.scaffold.made import Made
from tests.e2e.scaffold.projects import Project
from tests.e2e.scaffold.test_upgrade import NEXT, set_version
from tests.project_root import REPOSITORY
from verification.deploy.deployed import deployed
from verification.deploy.inventory import identities
from verification.deploy.process import Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks
from verification.guards.copies import copy_tree

pytestmark = pytest.mark.slow

BEFORE = "db8b27c1"
# Retraining by an alarm went with its role: decision 39.
GONE = {"role loan-triage-dev-retrain-guard"}


def installed(root: Path, folder: Path) -> tuple[Path, Path]:
    """Returns the wheel of a checkout, and a Python that has it beside what this one has."""
    wheel = build_wheel(root, folder).path
    venv.create(folder / "venv")
    (folder / "venv/bin/copier").symlink_to(Path(sys.executable).with_name("copier"))
    (packages,) = (folder / "venv/lib").glob("python3*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return wheel, folder / "venv/bin/python"


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, Path]:
    git = ["git", "-C", str(REPOSITORY)]
    archive = subprocess.run([*git, "archive", BEFORE], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"{BEFORE} is not in this clone: git fetch --unshallow")
    root = tmp_path / "before"
    root.mkdir()
    subprocess.run(["tar", "-x", "-C", str(root)], input=archive.stdout, check=True)
    return installed(root, tmp_path / "before-wheel")


@pytest.fixture
def later(tmp_path: Path) -> tuple[Path, Path]:
    root = tmp_path / "later"
    root.mkdir()
    copy_tree(REPOSITORY, root)
    set_version(root, NEXT)
    return installed(root, tmp_path / "later-wheel")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Emulator]:
    home = tmp_path / "home"
    home.mkdir()
    with running(ACCOUNT, home) as emulator:
        yield emulator


def test_a_project_from_before_the_packs_keeps_its_resources_versions_and_runs(
    tmp_path: Path, before: tuple[Path, Path], later: tuple[Path, Path], account: Emulator
) -> None:
    wheel, python = before
    made = Made(tmp_path, "dev", python)
    made.sashiko("new", str(tmp_path / "loan-triage"), "--engine", str(wheel), "--defaults")
    made = replace(made, root=tmp_path / "loan-triage")
    Project(made.root).commit()
    made.sashiko("run")
    made.sashiko("model", "approve", "1", "--reason", "as good as before")
    first = made.synthesize(tmp_path / "first")
    made.bootstrap(account, first)
    deploy = ("deploy", "--all", "--require-approval=never")
    account.cdk(*deploy, folder=first)
    identity = identities(account)
    physical = {(it.stack, it.logical_id): it.physical_id for it in deployed(account)}

    wheel, python = later
    done = made.sashiko("upgrade", str(wheel))
    assert "conflict" not in done
    made = replace(made, python=python)
    made.run("-m", "sashiko.project.moved")
    second = made.synthesize(tmp_path / "second")
    made.bootstrap(account, second)
    account.cdk(*deploy, folder=second)

    assert Stacks(account).replacements() == []
    after = identities(account)
    assert {key: value for key, value in identity.items() if key not in GONE} == after
    now = {(it.stack, it.logical_id): it.physical_id for it in deployed(account)}
    assert {
        place for place in physical if now.get(place, physical[place]) != physical[place]
    } == set()
    assert "differences: 0" in account.cdk("diff", "--all", "--fail", folder=second)

    assert "registered" in made.sashiko("runs", "list")
    assert "  Approved  candidate, champion  " in made.sashiko("model", "list")
    assert "Approved by" in made.sashiko("model", "lineage", "1")
    assert Path(made.root, made.sashiko("runs", "report").strip()).is_file()
    verified = made.sashiko("runs", "verify").splitlines()  # with status 0
    states = {line[:12].strip() for line in verified} - {""}
    assert states == {"as on record", "other engine"}
    assert "as on record  version complaint-triage 1: 16 files and the artifact" in verified
