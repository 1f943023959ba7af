"""A step of the project's own, as docs/change.md adds it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from setuptools.config.pyprojecttoml import read_configuration

from sashiko.account.names import bucket_name, role_name
from sashiko.base.files import sha256_file
from sashiko.settings.environment import Settings, load_settings
from tests.e2e import tiny
from tests.e2e.changes.project import Project, assert_small
from tests.e2e.project import RUN
from tests.project_root import REPOSITORY
from tests.project_root import project_root as samples

OBJECTIONS = {"C00000017", "C00000042"}
PAGE = "docs/change.md"
BEFORE = '    rows = output_uri(snapshot, "data")\n'


def add_step(project: Project) -> None:
    """Makes the change that the page shows: its code is taken from there."""
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8").partition("## Add a step")[2]
    module, step = re.findall(r"```python\n(.*?)```", page.partition("\n## ")[0], re.S)
    project.write("src/acme/steps/objections.py", module)
    lines = "".join(f"    {line}\n" if line else "\n" for line in step.splitlines())
    project.edit("pipelines/finetune.py", there=BEFORE, put=lines)


def sashiko(project: Project, *arguments: str) -> Any:
    return project.run("-c", "from sashiko.cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.copy(tmp_path_factory.mktemp("change") / "project")
    add_step(project)
    return project


@pytest.fixture(scope="module")
def definition(project: Project) -> dict[str, Any]:
    built = sashiko(project, "definition")
    assert built.returncode == 0, built.stderr
    return dict(json.loads(built.stdout))


def test_it_touches_two_files(project: Project) -> None:
    assert_small(project)
    assert project.touched() == {"pipelines/finetune.py", "src/acme/steps/objections.py"}


def test_the_definition_has_the_step_and_sagemaker_takes_it(project, definition):
    (step,) = [step for step in definition["Steps"] if step["Name"] == "Objections"]
    application = step["Arguments"]["AppSpecification"]
    assert application["ContainerEntrypoint"] == ["python3", "-m", "acme.steps.objections"]
    assert [item["InputName"] for item in step["Arguments"]["ProcessingInputs"]] == [
        "config",
        "data",
    ]
    checked = sashiko(project, "definition", "--check")
    assert checked.returncode == 0, checked.stderr
    assert "no problem" in checked.stdout


def test_a_step_that_nothing_waits_for_is_an_error_that_names_it(tmp_path: Path) -> None:
    project = Project.copy(tmp_path / "project")
    lost = '    jobs.processing("Lost", role="training", module="sashiko.steps.score", outputs=())'
    end = "    return jobs.pipeline("
    project.edit("pipelines/finetune.py", there=end, put=f"{lost}\n{end}")
    built = sashiko(project, "definition")
    assert built.returncode == 1
    assert "nothing waits for the step Lost: let a step read one" in built.stderr
    assert "Traceback" not in built.stderr


def test_its_role_may_use_what_it_names_and_nobody_edits_a_policy(project, definition):
    settings = load_settings("local", folder=project.root / "config")
    rows = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}/runs/*/Objections/data/*"
    users = policies(settings, definition)
    assert {role for role, allowed in users.items() if rows in allowed["s3:PutObject"]} == {
        role_name(settings, "training")
    }
    # Weights finds the train split of the same rows.
    assert {role for role, allowed in users.items() if rows in allowed["s3:GetObject"]} == {
        role_name(settings, "training"),
        role_name(settings, "bias-evaluator"),
    }


def policies(settings: Settings, definition: dict[str, Any]) -> dict[str, dict[str, set[str]]]:
    """Role -> action -> objects, of the policies that are synthesized for a definition."""
    from aws_cdk import App, Stack
    from aws_cdk import aws_kms as kms
    from aws_cdk.assertions import Template

    from sashiko_cdk.identity.artifact_access import ArtifactAccess
    from sashiko_cdk.pipeline.compiled_pipeline import Compiled

    stack = Stack(App(analytics_reporting=False), "Stack")
    ArtifactAccess(
        stack,
        "Artifacts",
        settings=settings,
        pipelines=[Compiled(recipe="r", module="finetune", definition=definition, commit="c")],
        key=kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/1"),
    )
    by_role: dict[str, dict[str, set[str]]] = {}
    for policy in Template.from_stack(stack).find_resources("AWS::IAM::ManagedPolicy").values():
        allowed: dict[str, set[str]] = {"s3:GetObject": set(), "s3:PutObject": set()}
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            for action in set(allowed).intersection(statement["Action"]):
                objects = statement["Resource"]
                allowed[action].update([objects] if isinstance(objects, str) else objects)
        (role,) = policy["Properties"]["Roles"]
        by_role[role] = allowed
    return by_role


def test_the_module_leaves_out_rows_alone_and_says_whose_they_are(project, tmp_path, monkeypatch):
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    inputs, output = tmp_path / "processing/input", tmp_path / "processing/output/data"
    for name in ("config", "data"):
        (inputs / name).mkdir(parents=True)
    source = inputs / "data/data.parquet"
    tiny.make_rows(source, rows=50)
    refused = project.run("-m", "acme.steps.objections")
    assert refused.returncode == 1
    assert 'add "contract" to `config`' in refused.stderr
    assert 'module="acme.steps.objections"' in refused.stderr
    shutil.copy(samples() / "contracts/complaints.odcs.yaml", inputs / "config/contract.odcs.yaml")
    done = project.run("-m", "acme.steps.objections")
    assert done.returncode == 0, done.stderr
    before, after = pq.read_table(source), pq.read_table(output / "data.parquet")
    keys = before["complaint_id"].to_pylist()
    assert set(keys) > OBJECTIONS
    # No value changes: what is served is not what this step writes.
    assert after == before.filter(pa.array([key not in OBJECTIONS for key in keys]))
    snapshots = json.loads((output / "snapshots.json").read_text())
    assert snapshots["training"] == sha256_file(source)


def test_the_change_passes_the_lint(project: Project) -> None:
    files = ("src/acme/steps/objections.py", "pipelines/finetune.py")
    for command in (("check",), ("format", "--check")):
        done = project.run("-m", "ruff", *command, "--no-cache", *files)
        assert done.returncode == 0, done.stdout


def test_the_job_image_installs_the_step(project: Project) -> None:
    code = "from sashiko.account.images.job_images import copied_files as c; print(*c({!r}))"
    copied = project.run("-c", code.format("images/job/Dockerfile"))
    assert "src/acme/steps/objections.py" in copied.stdout.split(), copied.stderr
    installed = read_configuration(project.root / "pyproject.toml")["tool"]["setuptools"]
    assert {"acme.steps", "sashiko.steps"} <= set(installed["packages"])


@pytest.mark.parametrize(
    ("there", "put", "message"),
    [
        ('module="acme.steps.objections"', 'module="acme.steps.gone"', "src/acme/steps/gone.py"),
        pytest.param(
            'config=("contract",),\n        inputs={"data": output_uri(snapshot',
            'config=("contracts",),\n        inputs={"data": output_uri(snapshot', "`contracts`",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_a_slip_in_the_line_is_an_error_that_names_the_step(project, there, put, message):
    project.edit("pipelines/finetune.py", there=there, put=put)
    refused = sashiko(project, "definition")
    project.edit("pipelines/finetune.py", there=put, put=there)
    assert refused.returncode == 1
    assert "step Objections" in refused.stderr
    assert message in refused.stderr


@pytest.mark.slow
def test_a_run_with_the_step_registers(tmp_path: Path) -> None:
    """A whole one: Register would refuse a model of rows whose snapshot nobody names."""
    rows, encoder = tmp_path / "rows.parquet", tmp_path / "encoder"
    tiny.make_rows(rows, rows=1200)
    encoder.mkdir()
    tiny.make_encoder(encoder, pq.read_table(rows)["complaint_text"].to_pylist())
    project = tiny.make_project(tmp_path / "project", encoder=encoder, rows=rows)
    add_step(Project(project.root))
    # A ratio is undefined where a random encoder predicts no positive; a difference never is.
    gate = "bias.gates=[{metric: DPPL, facet: customer_gender, maximum: 1, reason: any}]"
    run = project.sashiko(*RUN, "--set", gate, "--json")
    assert run.returncode == 0, run.stderr
    assert project.statuses()["Objections"] == "succeeded"
    splits = list((project.home / "s3").glob("*/runs/*/Prepare/t*/data.parquet"))
    keys = {key for file in splits for key in pq.read_table(file)["key"].to_pylist()}
    assert len(keys) > 100
    assert not keys & OBJECTIONS
