"""The validator: silent on what we ship, and heard when one thing in it is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.compiled import CompiledPipeline
from sashiko.pipeline.definition.validator.api_shapes import job_shape, limit_problem
from sashiko.pipeline.definition.validator.check import check_definition
from tests.pipeline import faults
from tests.pipeline.every_definition import ROOT, names

GOLDEN = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
FAULTS = faults.ARGUMENT_FAULTS | faults.GATE_FAULTS | faults.REFERENCE_FAULTS | faults.RULE_FAULTS


def problems(definition: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_definition(definition)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_reported_where_it_is(name: str) -> None:
    fault, where, text = FAULTS[name]
    lines = problems(faults.broken(GOLDEN, fault))
    assert any(line.startswith(f"{where}: ") and text in line for line in lines), lines


def test_every_problem_is_a_line() -> None:
    wrong = faults.broken(GOLDEN, FAULTS["too long"][0])
    wrong = faults.broken(wrong, FAULTS["bad enum"][0])
    wrong = faults.broken(wrong, FAULTS["an undeclared parameter"][0])
    unknown = {"X": {"Get": "Steps.Lost.ProcessingJobName"}}
    wrong = faults.broken(wrong, faults.set_in("Validate", "Arguments", "Environment", to=unknown))
    wrong = faults.broken(wrong, FAULTS["a wait for an unknown step"][0])
    assert [line.split(":")[0] for line in problems(wrong)] == [
        "step `Validate`, Arguments.Environment.X",
        "step `Train`, DependsOn[0]",
        "step `Train`, Arguments.HyperParameters.seed",
        "step `Train`, Arguments.ResourceConfig.InstanceType",
        "step `Train`, Arguments.Environment.X",
    ]


@pytest.mark.parametrize("name", names())
def test_what_we_ship_has_no_problem(name: str, compiled: dict[str, Any]) -> None:
    checked = check_definition(compiled[name])
    assert checked.steps >= 13
    assert checked.arguments > 20 * checked.steps


@pytest.mark.parametrize("harmless", [
    faults.set_in(*faults.SNAPSHOT, "ProcessingJobName", to="nightly"),
    faults.set_in(*faults.TRAIN, "Tags", to=[{"Key": "équipe", "Value": "données/1"}]),
    faults.set_in(*faults.TRAIN, "ResourceConfig", "InstanceCount", to={"Get": "Parameters.AsOf"}),
    faults.set_in(
        *("Compile-Score-Evaluate", "Arguments", "Environment", "X"),
        to={"Get": "Steps.Train.HyperParameters['seed']"},
    ),
], ids=["job name", "tags", "integer parameter", "map"])  # fmt: skip
def test_what_pipelines_takes_is_taken(harmless: faults.Fault) -> None:
    definition = faults.broken(GOLDEN, harmless)
    integer = faults.broken(definition, faults.set_parameter("AsOf", "Type", to="Integer"))
    as_text = {"Std:Join": {"Values": [{"Get": "Parameters.AsOf"}]}}
    for step in ("Snapshot", "SnapshotFacets"):
        arguments = faults.find(integer, step)["Arguments"]["AppSpecification"][
            "ContainerArguments"
        ]
        arguments[arguments.index({"Get": "Parameters.AsOf"})] = as_text
    check_definition(integer)


@pytest.mark.parametrize(
    "harmless",
    [
        faults.spot(MaxRuntimeInSeconds=3600, MaxWaitTimeInSeconds=3600),
        faults.spot(MaxRuntimeInSeconds=28 * 86_400, MaxWaitTimeInSeconds=28 * 86_400),
        faults.train_on("ml.trn2.48xlarge", "TrainingPlanArn", faults.PLAN),
        faults.train_on("ml.m5.xlarge", "VolumeKmsKeyId", faults.KEY),
        faults.set_in(*faults.TRAIN, "ResourceConfig", "KeepAlivePeriodInSeconds", to=600),
        faults.one_of(
            {"InstanceType": "ml.p5.48xlarge"},
            {"InstanceType": "ml.g5.48xlarge"},
            TrainingPlanArn=faults.PLAN,
            KeepAlivePeriodInSeconds=600,
        ),
        faults.set_in(
            *faults.TRAIN,
            "Tags",
            to=[{"Key": "team", "Value": "aws:x"}, {"Key": "Team", "Value": ""}],
        ),
        faults.several(
            faults.set_in(
                *faults.TRAIN,
                "AlgorithmSpecification",
                "TrainingImage",
                to="registry.local/train:1",
            ),
            faults.set_in(
                *(*faults.TRAIN, "AlgorithmSpecification", "TrainingImageConfig"),
                to={"TrainingRepositoryAccessMode": "Vpc"},
            ),
        ),
    ],
    ids=[
        "spot",
        "28 days",
        "training plan",
        "volume key",
        "warm pool",
        "types",
        "tags",
        "private registry",
    ],
)
def test_what_is_within_sagemakers_rules_is_taken(harmless: faults.Fault) -> None:
    check_definition(faults.broken(GOLDEN, harmless))


@pytest.mark.parametrize("kind", ["Processing", "Training"])
def test_every_pattern_of_the_api_can_be_read(kind: str) -> None:
    def texts(shape: Any) -> Any:
        if shape.type_name == "structure":
            children = shape.members.values()
        else:
            children = [
                getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)
            ]
        for child in children:
            yield from texts(child)
        if "pattern" in shape.metadata:
            yield shape

    strings = list(texts(job_shape("Create", kind)))
    assert len(strings) > 20
    for shape in strings:
        limit_problem("x" * shape.metadata.get("min", 0), shape)


def _check(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sashiko.cli import main; main()"]
    return subprocess.run(
        [*command, "definition", "--check", "--home", str(home), *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_setting_makes_the_laptops_recipe_one_of_several_nodes(tmp_path: Path) -> None:
    nodes = "{strategy: fsdp, nodes: 2, processes: 8, instance_type: ml.p5.48xlarge}"
    recipe = ("--env", "dev", "--recipe", "complaints-llm")
    good = _check(tmp_path, *recipe, "--set", f"train.distributed={nodes}")
    assert good.stdout.endswith("no problem\n"), good.stderr
    [path] = tmp_path.rglob("definitions/*/finetune.json")
    definition = json.loads(json.loads(path.read_text())["pipeline"]["definition"])
    [train] = [step for step in definition["Steps"] if step["Name"] == "Train"]
    machines = train["Arguments"]["ResourceConfig"]
    assert (machines["InstanceCount"], machines["InstanceType"]) == (2, "ml.p5.48xlarge")


@pytest.mark.slow
def test_the_command_says_what_is_wrong_and_ends_with_4(tmp_path: Path) -> None:
    good = _check(tmp_path, "--recipe", "complaints")
    assert re.fullmatch(r"\d+ steps, \d+ arguments checked: no problem\n", good.stdout)
    assert good.returncode == 0
    [path] = tmp_path.rglob("definitions/*/finetune.json")
    entry = json.loads(path.read_text())
    pipeline = CompiledPipeline.model_validate(entry["pipeline"])
    faulty = json.dumps(faults.broken(json.loads(pipeline.definition), FAULTS["bad enum"][0]))
    pipeline = pipeline.model_copy(update={"definition": faulty})
    entry |= {"pipeline": pipeline.model_dump(mode="json"), "sha256": pipeline.sha256}
    path.write_text(json.dumps(entry))
    bad = _check(tmp_path, "--recipe", "complaints")
    assert bad.returncode == 4
    assert bad.stdout == ""
    assert bad.stderr.startswith(
        "error: step `Train`, Arguments.ResourceConfig.InstanceType: `ml.g5.xlage` is not known"
    )
