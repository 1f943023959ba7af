"""The validator: silent on what we ship, and heard when one thing in it is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.definition.validator.api import job_api
from sashiko.definition.validator.check import check_definition
from sashiko.definition.validator.limits import limit_problem
from sashiko.errors import InputError
from tests.pipeline.every_definition import ENVIRONMENTS, ROOT, recipes
from tests.pipeline.faults import (
    Fault,
    broken,
    drop,
    find,
    rename,
    set_in,
    set_parameter,
)

GOLDEN = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
TRAIN = ("Train", "Arguments")
SNAPSHOT = ("Snapshot", "Arguments")
CLUSTER = (*SNAPSHOT, "ProcessingResources", "ClusterConfig")
GATE = ("DataGate", "Arguments", "Conditions", 0)
ROLE = "arn:aws:iam::111122223333:role/"
MODEL = "Steps.Train.ModelArtifacts.S3ModelArtifacts"


def problems(definition: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_definition(definition)
    return str(caught.value).splitlines()


def output(step: str, name: str) -> str:
    return f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"


def read(path: Any, file: str = "ValidateVerdict") -> dict[str, Any]:
    source = {"Get": f"Steps.Validate.PropertyFiles.{file}"}
    return {"Std:JsonGet": {"PropertyFile": source, "Path": path}}


# What is changed, where the problem is said to be, and what is said of it.
FAULTS: dict[str, tuple[Fault, str, str]] = {
    # The API: names.
    "misspelt argument": (
        rename(*TRAIN, "StoppingCondition", to="StopingCondition"),
        "step `Train`, Arguments",
        "unknown key `StopingCondition`; allowed among others: StoppingCondition",
    ),
    "misspelt key far down": (
        rename(*CLUSTER, "VolumeSizeInGB", to="VolumeSize"),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig",
        "unknown key `VolumeSize`; allowed: InstanceCount, InstanceType, VolumeSizeInGB, ",
    ),
    # Types.
    "text for an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to="1"),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string ("1")',
    ),
    "an integer for text": (
        set_in(*SNAPSHOT, "Environment", "OMP_NUM_THREADS", to=2),
        "step `Snapshot`, Arguments.Environment.OMP_NUM_THREADS",
        "expected a string, got an integer (2)",
    ),
    "a boolean for an integer": (
        set_in(*CLUSTER, "VolumeSizeInGB", to=True),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "expected an integer, got a boolean (true)",
    ),
    "text for a boolean": (
        set_in(*TRAIN, "EnableNetworkIsolation", to="true"),
        "step `Train`, Arguments.EnableNetworkIsolation",
        "expected a boolean, got a string",
    ),
    "text for a list": (
        set_in(*SNAPSHOT, "AppSpecification", "ContainerEntrypoint", to="python3"),
        "step `Snapshot`, Arguments.AppSpecification.ContainerEntrypoint",
        "expected a list, got a string",
    ),
    "null for an object": (
        set_in(*SNAPSHOT, "NetworkConfig", to=None),
        "step `Snapshot`, Arguments.NetworkConfig",
        "expected an object, got null",
    ),
    # What is required.
    "missing argument": (
        drop(*TRAIN, "OutputDataConfig"),
        "step `Train`, Arguments",
        "key `OutputDataConfig` is missing",
    ),
    "missing key in a list": (
        drop(*TRAIN, "InputDataConfig", 0, "DataSource"),
        "step `Train`, Arguments.InputDataConfig[0]",
        "key `DataSource` is missing",
    ),
    # Limits.
    "bad enum": (
        set_in(*TRAIN, "ResourceConfig", "InstanceType", to="ml.g5.xlage"),
        "step `Train`, Arguments.ResourceConfig.InstanceType",
        "`ml.g5.xlage` is not known; allowed among others: ml.g5.xlarge",
    ),
    "an instance type of another kind of job": (
        set_in(*CLUSTER, "InstanceType", to="ml.trn1.2xlarge"),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.InstanceType",
        "`ml.trn1.2xlarge` is not known",
    ),
    "bad enum of a few": (
        set_in(*TRAIN, "OutputDataConfig", "CompressionType", to="ZIP"),
        "step `Train`, Arguments.OutputDataConfig.CompressionType",
        "`ZIP` is not known; allowed: GZIP, NONE",
    ),
    "bad pattern": (
        set_in(*TRAIN, "RoleArn", to="arn:aws:iam::1111:role/sashiko"),
        "step `Train`, Arguments.RoleArn",
        "does not match the pattern",
    ),
    "bad pattern of a whole value": (
        set_in(*TRAIN, "HyperParameters", "seed", to="0\n"),
        "step `Train`, Arguments.HyperParameters.seed",
        "'0\\n' does not match the pattern .*",
    ),
    "bad pattern of a key": (
        rename(*SNAPSHOT, "Environment", "OMP_NUM_THREADS", to="OMP-NUM-THREADS"),
        "step `Snapshot`, Arguments.Environment, key `OMP-NUM-THREADS`",
        "does not match the pattern",
    ),
    "bad pattern that Python's re cannot read": (
        set_in(*SNAPSHOT, "Tags", to=[{"Key": "team;x", "Value": "é"}]),
        "step `Snapshot`, Arguments.Tags[0].Key",
        "'team;x' does not match the pattern",
    ),
    "bad pattern of joined text": (
        set_in(
            *(*TRAIN, "CheckpointConfig", "S3Uri"),
            to={"Std:Join": {"On": "/", "Values": ["bucket", "checkpoints"]}},
        ),
        "step `Train`, Arguments.CheckpointConfig.S3Uri",
        "'bucket/checkpoints' does not match the pattern",
    ),
    "too short": (
        set_in(*TRAIN, "RoleArn", to="role"),
        "step `Train`, Arguments.RoleArn",
        "4 characters; allowed: 20 to 2048 characters",
    ),
    "too long": (
        set_in(*TRAIN, "HyperParameters", "seed", to="0" * 2501),
        "step `Train`, Arguments.HyperParameters.seed",
        "2501 characters; allowed: up to 2500 characters",
    ),
    "too many": (
        set_in(*SNAPSHOT, "ProcessingInputs", to=[{"InputName": f"i{n}"} for n in range(11)]),
        "step `Snapshot`, Arguments.ProcessingInputs",
        "11 items; allowed: up to 10 items",
    ),
    "too few": (
        set_in(*SNAPSHOT, "AppSpecification", "ContainerEntrypoint", to=[]),
        "step `Snapshot`, Arguments.AppSpecification.ContainerEntrypoint",
        "0 items; allowed: 1 to 100 items",
    ),
    "below the range": (
        set_in(*SNAPSHOT, "StoppingCondition", "MaxRuntimeInSeconds", to=0),
        "step `Snapshot`, Arguments.StoppingCondition.MaxRuntimeInSeconds",
        "0; allowed: 1",
    ),
    "above the range": (
        set_in(*CLUSTER, "VolumeSizeInGB", to=16385),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "16385; allowed: 1 to 16384",
    ),
    # What Pipelines does with a step's arguments.
    "a prefix of job names that is too long": (
        set_in(*SNAPSHOT, "ProcessingJobName", to="x" * 64),
        "step `Snapshot`, Arguments.ProcessingJobName",
        "64 characters; allowed: 1 to 63 characters",
    ),
    "an experiment of the step's own": (
        set_in(*TRAIN, "ExperimentConfig", to={"ExperimentName": "x"}),
        "step `Train`, Arguments.ExperimentConfig",
        "move `ExperimentName` to the pipeline's PipelineExperimentConfig",
    ),
    # References.
    "a reference to an unknown step": (
        set_in(*TRAIN, "Environment", "X", to={"Get": output("Lost", "train")}),
        "step `Train`, Arguments.Environment.X",
        "no step is named `Lost`; there is: Snapshot, ",
    ),
    "a reference to an unknown output": (
        set_in(*TRAIN, "Environment", "X", to={"Get": output("Prepare", "lost")}),
        "step `Train`, Arguments.Environment.X, Steps.Prepare",
        "has no `lost`; there is: 0, 1, 2, 3, train, validation, test, meta",
    ),
    "a reference to an unknown property": (
        set_in("Compile", "Arguments", "Environment", "X", to={"Get": MODEL[:-1]}),
        "step `Compile`, Arguments.Environment.X, Steps.Train",
        "`ModelArtifacts.S3ModelArtifact` has no `S3ModelArtifact`; there is: S3ModelArtifacts",
    ),
    "a reference to a whole structure, joined": (
        set_in(
            *("Compile", "Arguments", "Environment", "X"),
            to={"Std:Join": {"Values": [{"Get": "Steps.Train.ModelArtifacts"}]}},
        ),
        "step `Compile`, Arguments.Environment.X.Std:Join.Values[0]",
        "`Steps.Train.ModelArtifacts` is not a single value",
    ),
    "a property of another type": (
        set_in(
            *("Compile", "Arguments", "Environment", "X"),
            to={"Get": "Steps.Train.BillableTimeInSeconds"},
        ),
        "step `Compile`, Arguments.Environment.X",
        "expected a string, got an integer, from ",
    ),
    "a wait for an unknown step": (
        set_in("Train", "DependsOn", to=["Lost"]),
        "step `Train`, DependsOn[0]",
        "no step is named `Lost`",
    ),
    "an unknown property file": (
        set_in(*GATE, "LeftValue", to=read("passed", file="Verdict")),
        "step `DataGate`, Arguments.Conditions[0].LeftValue.Std:JsonGet.PropertyFile",
        "step `Validate` has no property file `Verdict`; it has: ValidateVerdict",
    ),
    "an unknown output of a property file": (
        set_in("Validate", "PropertyFiles", 0, "OutputName", to="verdicts"),
        "step `Validate`, PropertyFiles[0]",
        "names output `verdicts`; the step has: verdict, docs",
    ),
    "a path that cannot be read": (
        set_in(*GATE, "LeftValue", to=read("a[")),
        "step `DataGate`, Arguments.Conditions[0].LeftValue",
        "cannot read the path `a[`",
    ),
    "a path that is an expression": (
        set_in(*GATE, "LeftValue", to=read({"Get": "Parameters.AsOf"})),
        "step `DataGate`, Arguments.Conditions[0].LeftValue",
        "Path must be text",
    ),
    "an unknown execution variable": (
        set_in(*TRAIN, "Environment", "X", to={"Get": "Execution.Id"}),
        "step `Train`, Arguments.Environment.X",
        "no execution variable `Id`; there is: StartDateTime, ",
    ),
    "an unknown function": (
        set_in(*TRAIN, "Environment", "X", to={"Std:Split": "a,b"}),
        "step `Train`, Arguments.Environment.X",
        "unknown function `Std:Split`; known: Get, Std:Join, Std:JsonGet",
    ),
    "an unknown comparison": (
        set_in(*GATE, "Type", to="Same"),
        "step `DataGate`, Arguments.Conditions[0]",
        "unknown condition type `Same`; known: Equals, ",
    ),
    # The graph.
    "a circle of references": (
        set_in("Prepare", "Arguments", "Environment", "X", to={"Get": MODEL}),
        "definition",
        "steps wait for each other: Prepare -> Train -> Prepare",
    ),
    "a step that waits for itself": (
        set_in("Train", "DependsOn", to=["Train"]),
        "definition",
        "steps wait for each other: Train -> Train",
    ),
    "two steps of one name": (
        set_in("ModelGateClosed", "Name", to="DataGateClosed"),
        "definition, Steps",
        "two steps are named `DataGateClosed`",
    ),
    "two outputs of one name": (
        set_in(
            *("Snapshot", "Arguments", "ProcessingOutputConfig", "Outputs", 0, "OutputName"),
            to="manifest",
        ),
        "step `Snapshot`, Arguments.ProcessingOutputConfig.Outputs",
        "two of them are named `manifest`",
    ),
    "a reference into a branch": (
        set_in("Validate", "Arguments", "Environment", "X", to={"Get": output("Prepare", "meta")}),
        "step `Validate`, Arguments.Environment.X",
        "step `Prepare` stands in a branch of `DataGate` and may not run",
    ),
    "a reference into the other branch": (
        set_in("ModelGateClosed", "Arguments", "ErrorMessage", to={"Get": output("Register", "r")}),
        "step `ModelGateClosed`, Arguments.ErrorMessage",
        "step `Register` stands in a branch of `ModelGate`",
    ),
    "a step's name that is no name": (
        set_in("Register", "Name", to="Register it"),
        "step `Register it`, Name",
        "does not match the pattern",
    ),
    "a cache without a duration": (
        set_in("Train", "CacheConfig", "ExpireAfter", to="a month"),
        "step `Train`, CacheConfig.ExpireAfter",
        "`a month` is not a duration",
    ),
    # Parameters.
    "an undeclared parameter": (
        set_in(*TRAIN, "Environment", "X", to={"Get": "Parameters.Lake"}),
        "step `Train`, Arguments.Environment.X",
        "no parameter `Lake`; there is: LakeUri, ",
    ),
    "an undeclared parameter, joined": (
        set_in(
            *(*TRAIN, "Environment", "X"),
            to={"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Parameters.Lake"}]}},
        ),
        "step `Train`, Arguments.Environment.X.Std:Join.Values[1]",
        "no parameter `Lake`",
    ),
    "a text parameter where the API wants an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to={"Get": "Parameters.AsOf"}),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string, from {"Get": "Parameters.AsOf"}',
    ),
    "an integer parameter where the API wants text": (
        set_parameter("AsOf", "Type", to="Integer"),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[5]",
        'expected a string, got an integer, from {"Get": "Parameters.AsOf"}; '
        "make it text with Std:Join",
    ),
    "a default of another type": (
        set_parameter("AsOf", "DefaultValue", to=20261125),
        "parameter `AsOf`",
        "default 20261125 is not a String",
    ),
    "a default outside its enum": (
        set_parameter("ModelRegistry", "DefaultValue", to="mlfow"),
        "parameter `ModelRegistry`",
        "'mlfow' is not one of mlflow, sagemaker",
    ),
    "an enum of another type": (
        set_parameter("ModelRegistry", "EnumValues", to=["mlflow", 1]),
        "parameter `ModelRegistry`, EnumValues",
        "1 is not a String",
    ),
    "a default that an argument does not take": (
        set_parameter("LakeUri", "DefaultValue", to="x" * 257),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[3]",
        '257 characters; allowed: up to 256 characters, from {"Get": "Parameters.LakeUri"}',
    ),
    "a parameter's name that is no name": (
        set_parameter("MlflowTrackingUri", "Name", to="Mlflow URI"),
        "parameter `Mlflow URI`, Name",
        "does not match the pattern",
    ),
    "a parameter of an unknown type": (
        set_parameter("AsOf", "Type", to="Date"),
        "definition, Parameters[1]",
        "unknown Type `Date`; known: String, Integer, Float, Boolean",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_found_where_it_is(name: str) -> None:
    fault, where, text = FAULTS[name]
    lines = problems(broken(GOLDEN, fault))
    assert any(line.startswith(f"{where}: ") and text in line for line in lines), lines


def test_every_problem_is_a_line() -> None:
    wrong = broken(GOLDEN, FAULTS["too long"][0])
    wrong = broken(wrong, FAULTS["bad enum"][0])
    wrong = broken(wrong, FAULTS["an undeclared parameter"][0])
    wrong = broken(wrong, FAULTS["a reference into a branch"][0])
    wrong = broken(wrong, FAULTS["a wait for an unknown step"][0])
    assert [line.split(":")[0] for line in problems(wrong)] == [
        "step `Validate`, Arguments.Environment.X",
        "step `Train`, DependsOn[0]",
        "step `Train`, Arguments.HyperParameters.seed",
        "step `Train`, Arguments.ResourceConfig.InstanceType",
        "step `Train`, Arguments.Environment.X",
    ]


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """Every environment and recipe, a fork's too, built in one process."""
    done = subprocess.run(
        [sys.executable, "tests/pipeline/every_definition.py"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "name", [f"{env}, {path.stem}" for env in ENVIRONMENTS for path in recipes()]
)
def test_what_we_ship_has_no_problem(name: str, compiled: dict[str, Any]) -> None:
    checked = check_definition(compiled[name])
    assert checked.steps >= 13
    assert checked.arguments > 20 * checked.steps


@pytest.mark.parametrize(
    "harmless",
    [
        set_in(*SNAPSHOT, "ProcessingJobName", to="nightly"),
        set_in(*TRAIN, "ExperimentConfig", to={"TrialComponentDisplayName": "fine-tune"}),
        set_in(*TRAIN, "Tags", to=[{"Key": "équipe", "Value": "données/1"}]),
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to={"Get": "Parameters.AsOf"}),
        set_in(*TRAIN, "HyperParameters", "seed", to=read("seed")),
        set_in(*TRAIN, "ResourceConfig", "VolumeSizeInGB", to=read("size")),
        set_in(
            *("Compile", "Arguments", "Environment", "X"),
            to={"Get": "Steps.Train.HyperParameters['seed']"},
        ),
    ],
    ids=[
        "job name",
        "experiment",
        "tags",
        "integer parameter",
        "text of a file",
        "number of a file",
        "map",
    ],
)
def test_what_pipelines_takes_is_taken(harmless: Fault) -> None:
    definition = broken(GOLDEN, harmless)
    counted = broken(definition, set_parameter("AsOf", "Type", to="Integer"))
    as_text = {"Std:Join": {"Values": [{"Get": "Parameters.AsOf"}]}}
    for step in ("Snapshot", "SnapshotFacets"):
        arguments = find(counted, step)["Arguments"]["AppSpecification"]["ContainerArguments"]
        arguments[arguments.index({"Get": "Parameters.AsOf"})] = as_text
    check_definition(counted)


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

    found = list(texts(job_api(kind).create))
    assert len(found) > 20
    for shape in found:
        limit_problem("x" * shape.metadata.get("min", 0), shape)


def test_the_command_says_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from sashiko.cli import main; main()"]
        options = ["definition", "--check", "--recipe", "complaints", "--home", str(tmp_path)]
        return subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
        )

    good = check()
    assert re.fullmatch(r"\d+ steps, \d+ arguments checked: no problem\n", good.stdout)
    assert good.returncode == 0
    [kept] = tmp_path.rglob("definition.json")
    fault = FAULTS["bad enum"][0]
    kept.write_text(json.dumps(broken(json.loads(kept.read_text()), fault)))
    bad = check()
    assert bad.returncode == 1
    assert bad.stdout == ""
    assert bad.stderr.startswith(
        "error: step `Train`, Arguments.ResourceConfig.InstanceType: `ml.g5.xlage` is not known"
    )
