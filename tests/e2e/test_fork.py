"""A team forks the repository, adds a data set of its own, and merges what upstream did since."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from sashiko.base.yaml_models import read_yaml
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.environment import load_settings
from tests.e2e.project import ROOT, Project
from tests.unit.contract.documents import document

# It sorts before the shipped names, and stands in the code as a word.
NAME = "account"
GOLDEN = ("complaints.definition.json", "complaints.definition.dev.json")
READ_WHAT_A_FORK_ADDS = (
    "tests/pipeline/test_definition.py",
    "tests/unit/commands/test_cli.py::test_bad_input_ends_with_one_error_and_status_1",
    "tests/unit/bias/steps/test_clarify_bias.py",
    "tests/unit/contract/test_model.py",
    "tests/unit/base/test_yaml_models.py",
)
# Of the engine's, some of each kind that works on a sample contract, recipe or environment.
WORK_ON_SAMPLES = (
    "tests/pipeline/test_definition.py",
    "tests/unit/pipeline/cloud/test_start.py",
    "tests/unit/account/test_endpoint_spec.py",
    "tests/unit/account/test_model_registry.py",
    "tests/unit/commands/test_cli.py",
    "tests/unit/commands/test_cloud_runs.py",
    "tests/unit/contract",
    "tests/unit/test_hostile_files.py",
    "tests/unit/data/test_review.py",
    "tests/unit/pipeline/test_staging.py",
    "tests/unit/base/test_yaml_models.py",
)
RECIPE = {
    "extends": "models/all-minilm-l6-v2.yaml",
    "name": NAME,
    "description": "Loans that come back late.",
    "contract": f"contracts/{NAME}.odcs.yaml",
    "model_package_group": "late-loans",
    "data": {"sources": [{"kind": "file", "path": "loans.parquet"}]},
    "text": {"template": "{title}"},
    "quality": {"gates": [{"metric": "auc", "minimum": 0.7, "reason": "less is of no use"}]},
    "bias": {"gates": [{"metric": "DI", "facet": "age", "minimum": 0.8, "reason": "four fifths"}]},
}


def git(folder: Path, *arguments: str | Path) -> str:
    """Runs git as nobody in particular, whatever this machine's own settings are."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *map(str, arguments)],
        cwd=folder, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done.stdout


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()


def publish(folder: Path) -> None:
    """Makes upstream's repository of the files that stand in this one."""
    folder.mkdir()
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--initial-branch", "main")
    commit(folder, "A first version")


def add_data_set(fork: Path) -> str:
    """Does what docs/upgrade.md says that a fork does, and returns the commit."""
    (fork / f"contracts/{NAME}.odcs.yaml").write_text(yaml.safe_dump(document()))
    (fork / f"recipes/{NAME}.yaml").write_text(yaml.safe_dump(RECIPE))
    ours = {"project": "acme", "recipe": NAME, "contracts": [NAME]}
    for environment, account in (("dev", "1" * 12), ("prod", "2" * 12), ("local", "3" * 12)):
        file = fork / f"config/{environment}.yaml"
        file.write_text(yaml.safe_dump(ours | {"tier": environment, "account": account}))
    return commit(fork, "Our loans")


@dataclass(frozen=True)
class Merged:
    """A fork that has merged upstream's newest commit."""

    fork: Project  # its folder
    ours: str  # the fork's commit
    theirs: str  # upstream's


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Merged:
    folder = tmp_path_factory.mktemp("fork")
    upstream, fork = folder / "upstream", folder / "fork"
    publish(upstream)
    git(folder, "clone", "--origin", "upstream", upstream, fork)
    base = read_yaml(upstream / "config/base.yaml")
    before, after = base["jobs"]["processing"]["instance_type"], "ml.m5.4xlarge"
    base["jobs"]["processing"]["instance_type"] = after
    (upstream / "config/base.yaml").write_text(yaml.safe_dump(base))
    for name in GOLDEN:
        golden = upstream / "tests/golden" / name
        golden.write_text(golden.read_text().replace(f'"{before}"', f'"{after}"'))
    examples = {*upstream.glob("contracts/*.yaml"), *upstream.glob("recipes/**/*.yaml")}
    # This one's bytes name the golden definition's prefixes.
    for example in examples - {upstream / "contracts/complaints.odcs.yaml"}:
        example.write_text(f"# Looked through again.\n{example.read_text()}")
    ours, theirs = add_data_set(fork), commit(upstream, "Larger machines; examples looked through")
    git(fork, "fetch", "upstream")
    git(fork, "merge", "upstream/main")
    return Merged(fork=Project(fork), ours=ours, theirs=theirs)


def test_upstreams_changes_arrive_and_the_forks_files_stay(merged: Merged) -> None:
    root = merged.fork.root
    theirs = git(root, "diff", "--name-only", f"{merged.theirs}^", merged.theirs).split()
    assert {"config/base.yaml", "contracts/census.odcs.yaml", "recipes/census.yaml"} < set(theirs)
    assert {f"tests/golden/{name}" for name in GOLDEN} < set(theirs)
    assert git(root, "diff", merged.theirs, "HEAD", "--", *theirs) == ""
    ours = git(root, "diff", "--name-only", f"{merged.ours}^", merged.ours).split()
    assert f"recipes/{NAME}.yaml" in ours
    assert git(root, "diff", merged.ours, "HEAD", "--", *ours) == ""
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_each_environment_takes_the_forks_recipe(merged: Merged, environment: str, monkeypatch):
    monkeypatch.chdir(merged.fork.root)
    settings = load_settings(environment)
    assert settings.project == "acme"
    assert settings.jobs.processing.instance_type == "ml.m5.4xlarge"
    assert choose_recipe(settings, None).model_package_group == "late-loans"


@pytest.mark.slow
def test_the_definition_builds_with_the_forks_names_and_upstreams_settings(merged: Merged) -> None:
    built = merged.fork.sashiko("definition", "--env", "dev")
    assert built.returncode == 0, built.stderr
    snapshot = json.loads(built.stdout)["Steps"][0]["Arguments"]
    assert snapshot["RoleArn"] == "arn:aws:iam::111111111111:role/acme-dev-broker"
    cluster = snapshot["ProcessingResources"]["ClusterConfig"]
    assert cluster["InstanceType"] == "ml.m5.4xlarge"


@pytest.mark.slow
def test_the_tests_that_read_recipes_contracts_and_settings_pass_in_the_fork(merged: Merged):
    run_tests(merged.fork.root, *READ_WHAT_A_FORK_ADDS)


def run_tests(folder: Path, *tests: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests], cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def without_samples(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A team's repository, renamed, with a data set of its own and without the samples."""
    folder = tmp_path_factory.mktemp("team") / "repository"
    publish(folder)
    add_data_set(folder)
    guide = (ROOT / "docs/upgrade.md").read_text()
    [command] = [line for line in guide.splitlines() if line.startswith("git rm ")]
    patterns = command.removeprefix("git rm ").split()
    git(folder, "rm", *(path for pattern in patterns for path in sorted(folder.glob(pattern))))
    return Project(folder)


@pytest.mark.slow
def test_the_guide_deletes_all_samples_and_the_definition_builds(without_samples: Project) -> None:
    root = without_samples.root
    left = [*root.glob("contracts/*.yaml"), *root.glob("recipes/*.yaml")]
    assert {path.name.partition(".")[0] for path in left} == {NAME}
    built = without_samples.sashiko("definition", "--env", "dev")
    assert built.returncode == 0, built.stderr
    assert "role/acme-dev-broker" in built.stdout


@pytest.mark.slow
def test_the_engines_tests_pass_without_the_samples(without_samples: Project) -> None:
    run_tests(without_samples.root, *WORK_ON_SAMPLES)
