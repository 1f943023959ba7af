"""A compile target of the project's own, as docs/change.md adds it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.pipeline.staging import serving_code
from sashiko.serving.compile_lock import read_lock
from sashiko.serving.inspection import inspect_artifact
from sashiko.settings.targets import load_target
from tests.e2e import tiny
from tests.e2e.changes.project import Project, assert_small
from tests.e2e.project import RUN
from tests.e2e.serving.compile_job import TEXTS, eager_scores, job, write_model
from tests.project_root import REPOSITORY
from tests.unit.acme import forget
from tests.unit.serving.test_server import call, serving

TARGET = "acme.targets:PORTABLE"
PAGE = (REPOSITORY / "docs/change.md").read_text(encoding="utf-8")
FACTS, BACKEND, DIFF = re.findall(
    r"```(?:python|diff)\n(.*?)```", PAGE.partition("## Add a compile target")[2], re.S
)[:3]


def add_target(project: Project) -> None:
    """Writes the two files of the page."""
    project.write("src/acme/targets.py", FACTS)
    project.write("src/acme/portable_backend.py", BACKEND)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the target, whose package this process can import."""
    copy = Project.copy(tmp_path / "project")
    add_target(copy)
    removed, added = ([line[1:] for line in DIFF.splitlines() if line[0] == sign] for sign in "-+")
    copy.edit("recipes/complaints.yaml", there=removed[0], put=added[0])
    monkeypatch.syspath_prepend(str(copy.root / "src"))
    forget(monkeypatch)
    monkeypatch.chdir(copy.root)
    return copy


@pytest.fixture
def compiled(project: Project, tmp_path: Path) -> tuple[Path, Path]:
    """The trained model, and the outputs of Compile, which runs as its job does."""
    (tmp_path / "model").mkdir()
    model = write_model(tmp_path / "model")
    root = job(tmp_path / "job", model, target=TARGET)
    done = subprocess.run(
        [sys.executable, "-B", root / "processing/input/code/compile_model.py"],
        env=os.environ
        | {"OPT_ML": str(root), "OMP_NUM_THREADS": "1", "SERVING_IMAGE": "serving:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return model, root / "processing/output"


def test_the_artifact_carries_the_backend_and_is_served_by_it(project, compiled):
    model, outputs = compiled
    lock, archive = read_lock(outputs / "lock"), outputs / "artifact/model.tar.gz"
    assert lock.target == TARGET
    written = sha256_file(project.root / "src/acme/portable_backend.py")
    assert lock.artifact["code/portable_backend.py"] == written
    assert "code/onnx_backend.py" not in lock.artifact
    inspect_artifact(archive, expected=lock.artifact)

    with serving(archive) as (url, _):
        status, body = call(f"{url}/invocations", json.dumps({"inputs": TEXTS}).encode())
    assert status == 200
    scores = [answer["score"] for answer in json.loads(body)]
    assert scores == pytest.approx(eager_scores(model), abs=1e-5)


def test_the_definition_stages_it_and_the_endpoint_runs_on_its_machines(project: Project) -> None:
    from sashiko.account.endpoint_spec import endpoint_spec
    from sashiko_cdk.identity.role_permissions import device_permissions
    from sashiko_cdk.serving.model_endpoint import EndpointConfig, ServedModel
    from sashiko_cdk.stack import EnvironmentStack
    from tests.infra.variants import deployment_of, new_app, settings_of

    assert_small(project)
    built = project.run("-c", "from sashiko.cli import main; main()", "definition", "--env", "dev")
    assert built.returncode == 0, built.stderr
    steps = {step["Name"]: step["Arguments"] for step in json.loads(built.stdout)["Steps"]}
    arguments = steps["DeviceCheck"]["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--instance-type") + 1] == "ml.c7i.xlarge"

    settings = settings_of("serving")
    permissions = device_permissions(settings, [TARGET])
    assert "ml.c7i.xlarge" in json.dumps([item.statement.to_json() for item in permissions])
    spec = endpoint_spec(settings, TARGET)
    app = new_app()
    stack = EnvironmentStack(app, "One", deployment_of(settings), stateful=False, description="")
    model = ServedModel(
        stack, "Model", settings=settings, spec=spec, package_arn="arn", threshold="0.5",
        subnet_ids=["subnet-0a1b2c3d"], group_id="sg-0a1b2c3d",
    )  # fmt: skip
    EndpointConfig(stack, "Config", settings=settings, spec=spec, endpoint="one", model=model)
    template = json.loads((Path(app.synth().directory) / "One.template.json").read_text())
    (variant,) = properties(template, "AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    assert variant["InstanceType"] == "ml.c7i.xlarge"
    assert spec.image == endpoint_spec(settings, "cpu").image
    allowed = load_target(TARGET).serving_types(["ml.c6i.large", "ml.c5.large", "ml.g5.xlarge"])
    assert allowed == ["ml.c6i.large"]


def properties(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (resource,) = [item for item in template["Resources"].values() if item["Type"] == kind]
    return dict(resource["Properties"])


def test_an_instance_that_its_image_does_not_run_on_is_refused(project: Project) -> None:
    project.edit(
        "config/dev.yaml", there="tier: dev\n",
        put=f'tier: dev\nserving: {{instance_types: {{"{TARGET}": ml.g5.xlarge}}}}\n',
    )  # fmt: skip
    refused = project.run(
        "-c", "from sashiko.cli import main; main()", "definition", "--env", "dev"
    )
    assert refused.returncode == 1
    for part in ("config/dev.yaml", "serving.instance_types", TARGET, "allowed: ml.c6i, ml.c7i"):
        assert part in refused.stderr


@pytest.mark.parametrize(("there", "put", "message"), [
    ("portable_backend.py", "gone.py", "src/acme/gone.py does not exist"),
    ("portable_backend.py", "scorer.py", "src/acme/scorer.py has the name of a file of"),
])  # fmt: skip
def test_a_wrong_file_is_named_before_anything_is_staged(project, monkeypatch, there, put, message):
    project.write("src/acme/scorer.py", "")
    project.edit("src/acme/targets.py", there=there, put=put)
    forget(monkeypatch)
    with pytest.raises(InputError, match=f"compile target {TARGET}: .*{message}"):
        serving_code(TARGET)


@pytest.mark.slow
def test_a_run_evaluates_and_registers_what_the_target_serves(tmp_path, monkeypatch):
    rows, encoder = tmp_path / "rows.parquet", tmp_path / "encoder"
    tiny.make_rows(rows, rows=1200)
    encoder.mkdir()
    tiny.make_encoder(encoder, pq.read_table(rows)["complaint_text"].to_pylist())
    project = tiny.make_project(tmp_path / "project", encoder=encoder, rows=rows)
    add_target(Project(project.root))
    monkeypatch.setenv("PYTHONPATH", str(project.root / "src"))  # as its installation does
    # A ratio is undefined where a random encoder predicts no positive; a difference never is.
    gate = "bias.gates=[{metric: DPPL, facet: customer_gender, maximum: 1, reason: any}]"
    run = project.sashiko(*RUN, "--set", gate, "--set", f"compile.target={TARGET}", "--json")
    assert run.returncode == 0, run.stderr
    assert project.statuses()["Register"] == "succeeded"
    assert read_lock(project.output("Compile", "lock")).target == TARGET
