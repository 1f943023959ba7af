"""One change to a definition's JSON at a time: what a slip of the pen would do."""

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Fault = Callable[[Json], None]
Place = str | int

# Steps of the golden definition, to begin a path with.
TRAIN = ("Train", "Arguments")
SNAPSHOT = ("Snapshot", "Arguments")


def broken(definition: Json, fault: Fault) -> Json:
    result = copy.deepcopy(definition)
    fault(result)
    assert result != definition
    return result


def set_in(step: str, *path: Place, to: Any) -> Fault:
    def fault(definition: Json) -> None:
        *parents, last = path
        _value_at(find(definition, step), parents)[last] = to

    return fault


def rename(step: str, *path: Place, to: str) -> Fault:
    def fault(definition: Json) -> None:
        *parents, last = path
        holder = _value_at(find(definition, step), parents)
        holder[to] = holder.pop(last)

    return fault


def drop(step: str, *path: Place) -> Fault:
    """Takes the last key of a path below a step away."""

    def fault(definition: Json) -> None:
        *parents, last = path
        del _value_at(find(definition, step), parents)[last]

    return fault


def set_parameter(name: str, key: str, *, to: Any) -> Fault:
    """Changes a parameter's declaration."""

    def fault(definition: Json) -> None:
        next(item for item in definition["Parameters"] if item["Name"] == name)[key] = to

    return fault


def find(definition: Json, step: str) -> Json:
    return next(item for item in definition["Steps"] if item["Name"] == step)


def _value_at(value: Any, path: list[Place]) -> Any:
    for part in path:
        value = value.setdefault(part, {}) if isinstance(value, dict) else value[part]
    return value


CLUSTER = (*SNAPSHOT, "ProcessingResources", "ClusterConfig")

# What is changed, and the place and the text of the message.
ARGUMENT_FAULTS: dict[str, tuple[Fault, str, str]] = {
    # The API: names.
    "misspelt argument": (rename(*TRAIN, "StoppingCondition", to="StopingCondition"),
        "step `Train`, Arguments",
        "unknown key `StopingCondition`; allowed among others: StoppingCondition"),
    # Types.
    "text for an integer": (set_in(*TRAIN, "ResourceConfig", "InstanceCount", to="1"),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string ("1")'),
    "a boolean for an integer": (set_in(*CLUSTER, "VolumeSizeInGB", to=True),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "expected an integer, got a boolean (true)"),
    "null for an object": (set_in(*SNAPSHOT, "NetworkConfig", to=None),
        "step `Snapshot`, Arguments.NetworkConfig", "expected an object, got null"),
    # What is required.
    "missing argument": (drop(*TRAIN, "OutputDataConfig"), "step `Train`, Arguments",
        "key `OutputDataConfig` is missing"),
    # Limits.
    "bad enum": (set_in(*TRAIN, "ResourceConfig", "InstanceType", to="ml.g5.xlage"),
        "step `Train`, Arguments.ResourceConfig.InstanceType",
        "`ml.g5.xlage` is not known; allowed among others: ml.g5.xlarge"),
    "an instance type of another kind of job": (
        set_in(*CLUSTER, "InstanceType", to="ml.trn1.2xlarge"),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.InstanceType",
        "`ml.trn1.2xlarge` is not known"),
    "bad pattern": (set_in(*TRAIN, "RoleArn", to="arn:aws:iam::1111:role/sashiko"),
        "step `Train`, Arguments.RoleArn", "does not match the pattern"),
    "bad pattern of a key": (
        rename(*SNAPSHOT, "Environment", "OMP_NUM_THREADS", to="OMP-NUM-THREADS"),
        "step `Snapshot`, Arguments.Environment, key `OMP-NUM-THREADS`",
        "does not match the pattern"),
    "bad pattern that Python's re cannot read": (
        set_in(*SNAPSHOT, "Tags", to=[{"Key": "team;x", "Value": "é"}]),
        "step `Snapshot`, Arguments.Tags[0].Key", "'team;x' does not match the pattern"),
    "bad pattern of joined text": (
        set_in(
            *(*TRAIN, "CheckpointConfig", "S3Uri"),
            to={"Std:Join": {"On": "/", "Values": ["bucket", "checkpoints"]}},
        ),
        "step `Train`, Arguments.CheckpointConfig.S3Uri",
        "'bucket/checkpoints' does not match the pattern",
    ),
    "too short": (set_in(*TRAIN, "RoleArn", to="role"), "step `Train`, Arguments.RoleArn",
        "4 characters; allowed: 20 to 2048 characters"),
    "too long": (set_in(*TRAIN, "HyperParameters", "seed", to="0" * 2501),
        "step `Train`, Arguments.HyperParameters.seed",
        "2501 characters; allowed: up to 2500 characters"),
    "too many": (
        set_in(*SNAPSHOT, "ProcessingInputs", to=[{"InputName": f"i{n}"} for n in range(11)]),
        "step `Snapshot`, Arguments.ProcessingInputs", "11 items; allowed: up to 10 items"),
    "below the range": (set_in(*SNAPSHOT, "StoppingCondition", "MaxRuntimeInSeconds", to=0),
        "step `Snapshot`, Arguments.StoppingCondition.MaxRuntimeInSeconds", "0; allowed: 1"),
    "above the range": (set_in(*CLUSTER, "VolumeSizeInGB", to=16385),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "16385; allowed: 1 to 16384"),
    # What Pipelines does with a step's arguments.
    "a prefix of job names that is too long": (set_in(*SNAPSHOT, "ProcessingJobName", to="x" * 64),
        "step `Snapshot`, Arguments.ProcessingJobName",
        "64 characters; allowed: 1 to 63 characters"),
    "an experiment of the step's own": (
        set_in(*TRAIN, "ExperimentConfig", to={"ExperimentName": "x"}),
        "step `Train`, Arguments.ExperimentConfig",
        "not supported; MLflow tracks the runs: remove it"),
}  # fmt: skip

_JOB = {"Name": "Aside", "Type": "Processing", "Arguments": {}}
_FILE = {"PropertyFileName": "F", "OutputName": "verdict", "FilePath": "verdict.json"}
_OUTPUT = {"OutputName": "word", "OutputType": "String"}


def _step(kind: str, **arguments: Any) -> Fault:
    def fault(definition: Json) -> None:
        definition["Steps"].append({"Name": "Own", "Type": kind, "Arguments": arguments})

    return fault


def _get(target: str) -> dict[str, Any]:
    return {"X": {"Get": target}}


def _awaited_by_none(gate: str) -> Fault:
    def fault(definition: Json) -> None:
        for step in definition["Steps"]:
            if gate in step.get("DependsOn", ()):
                step["DependsOn"].remove(gate)

    return fault


# As in `ARGUMENT_FAULTS`.
GATE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "a condition": (_step("Condition", Conditions=[], IfSteps=[_JOB]),
        "definition, Steps[17], step `Own`",
        "a Condition step is not supported: make it a gate, a Lambda step that fails"),
    "a fail step": (_step("Fail", ErrorMessage="no"), "definition, Steps[17], step `Own`",
        "a Fail step is not supported: make it a gate"),
    "a file for a condition": (set_in("Validate", "PropertyFiles", to=[_FILE]),
        "definition, Steps[1], step `Validate`, PropertyFiles",
        "not supported; to decide by a file, make it a gate"),
    "a value of a file": (
        set_in("Train", "Arguments", "Environment", to={"X": {"Std:JsonGet": {"Path": "a"}}}),
        "step `Train`, Arguments.Environment.X",
        "unknown function `Std:JsonGet`; known: Get, Std:Join"),
    "a property of a gate": (
        set_in("Train", "Arguments", "Environment", to=_get("Steps.DataGate.Outcome")),
        "step `Train`, Arguments.Environment.X",
        "`DataGate` is a Lambda step, which has no properties"),
    "a function without an ARN": (set_in("DataGate", "FunctionArn", to="sashiko-dev-gatekeeper"),
        "step `DataGate`, FunctionArn",
        "`sashiko-dev-gatekeeper` is not a function ARN; expected arn:aws:lambda:"),
    "an ARN of something else": (
        set_in("DataGate", "FunctionArn", to="arn:aws:lambda:us-east-1:111122223333:layer:x"),
        "step `DataGate`, FunctionArn", "is not a function ARN"),
    "an output of a function": (set_in("DataGate", "OutputParameters", to=[_OUTPUT]),
        "definition, Steps[6], step `DataGate`, OutputParameters",
        "not supported; write a file and pass its URI instead"),
    "a function's argument of an unknown step": (
        set_in("DataGate", "Arguments", to=_get("Steps.Lost.ProcessingJobName")),
        "step `DataGate`, Arguments.X", "no step is named `Lost`"),
    "a gate that nothing waits for": (_awaited_by_none("ModelGate"), "step `ModelGate`",
        "no step depends on it, so a refusal stops nothing"),
    "a gate that reads nothing": (set_in("DeviceGate", "Arguments", to={}),
        "step `DeviceGate`, Arguments", "a gate without arguments judges nothing"),
}  # fmt: skip

OF_TRAIN = (*TRAIN, "Environment", "X")
OF_COMPILE = ("Compile-Score-Evaluate", "Arguments", "Environment", "X")
MODEL = "Steps.Train.ModelArtifacts.S3ModelArtifacts"


def output(step: str, name: str) -> str:
    return f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"


# As in `ARGUMENT_FAULTS`.
REFERENCE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    # References.
    "a reference to an unknown step": (set_in(*OF_TRAIN, to={"Get": output("Lost", "train")}),
        "step `Train`, Arguments.Environment.X", "no step is named `Lost`; there is: Snapshot, "),
    "a reference to an unknown output": (set_in(*OF_TRAIN, to={"Get": output("Prepare", "lost")}),
        "step `Train`, Arguments.Environment.X, Steps.Prepare",
        "has no `lost`; there is: 0, 1, 2, 3, 4, train, validation, test, slices, meta"),
    "a reference to an unknown property": (set_in(*OF_COMPILE, to={"Get": MODEL[:-1]}),
        "step `Compile-Score-Evaluate`, Arguments.Environment.X, Steps.Train",
        "`ModelArtifacts.S3ModelArtifact` has no `S3ModelArtifact`; there is: S3ModelArtifacts"),
    "a reference to a whole structure, joined": (
        set_in(*OF_COMPILE, to={"Std:Join": {"Values": [{"Get": "Steps.Train.ModelArtifacts"}]}}),
        "step `Compile-Score-Evaluate`, Arguments.Environment.X.Std:Join.Values[0]",
        "`Steps.Train.ModelArtifacts` is not a single value"),
    "a property of another type": (
        set_in(*OF_COMPILE, to={"Get": "Steps.Train.BillableTimeInSeconds"}),
        "step `Compile-Score-Evaluate`, Arguments.Environment.X",
        "expected a string, got an integer, from "),
    "a wait for an unknown step": (set_in("Train", "DependsOn", to=["Lost"]),
        "step `Train`, DependsOn[0]", "no step is named `Lost`"),
    "an unknown execution variable": (set_in(*OF_TRAIN, to={"Get": "Execution.Id"}),
        "step `Train`, Arguments.Environment.X",
        "no execution variable `Id`; there is: StartDateTime, "),
    "an unknown function": (set_in(*OF_TRAIN, to={"Std:Split": "a,b"}),
        "step `Train`, Arguments.Environment.X",
        "unknown function `Std:Split`; known: Get, Std:Join"),
    # The graph.
    "a circle of references": (
        set_in("Prepare", "Arguments", "Environment", "X", to={"Get": MODEL}), "definition",
        "steps wait for each other: Prepare -> Train -> Prepare"),
    "a step that waits for itself": (set_in("Train", "DependsOn", to=["Train"]), "definition",
        "steps wait for each other: Train -> Train"),
    "two steps of one name": (set_in("ModelGate", "Name", to="DataGate"), "definition, Steps",
        "two steps are named `DataGate`"),
    "two outputs of one name": (
        set_in(
            *("Snapshot", "Arguments", "ProcessingOutputConfig", "Outputs", 0, "OutputName"),
            to="manifest",
        ),
        "step `Snapshot`, Arguments.ProcessingOutputConfig.Outputs",
        "two of them are named `manifest`",
    ),
    "a step's name that is no name": (set_in("Register", "Name", to="Register it"),
        "step `Register it`, Name", "does not match the pattern"),
    "a cache without a duration": (set_in("Train", "CacheConfig", "ExpireAfter", to="a month"),
        "step `Train`, CacheConfig.ExpireAfter", "`a month` is not a duration"),
    # Parameters.
    "an undeclared parameter": (set_in(*OF_TRAIN, to={"Get": "Parameters.Lake"}),
        "step `Train`, Arguments.Environment.X", "no parameter `Lake`; there is: LakeUri, "),
    "an undeclared parameter, joined": (
        set_in(
            *OF_TRAIN,
            to={"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Parameters.Lake"}]}},
        ),
        "step `Train`, Arguments.Environment.X.Std:Join.Values[1]",
        "no parameter `Lake`",
    ),
    "a text parameter where the API wants an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to={"Get": "Parameters.AsOf"}),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string, from {"Get": "Parameters.AsOf"}'),
    "an integer parameter where the API wants text": (
        set_parameter("AsOf", "Type", to="Integer"),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[5]",
        'expected a string, got an integer, from {"Get": "Parameters.AsOf"}; '
        "make it text with Std:Join",
    ),
    "a default of another type": (set_parameter("AsOf", "DefaultValue", to=20261125),
        "parameter `AsOf`", "default 20261125 is not a String"),
    "a default outside its enum": (set_parameter("ModelRegistry", "DefaultValue", to="mlfow"),
        "parameter `ModelRegistry`", "'mlfow' is not one of mlflow, sagemaker"),
    "an enum of another type": (set_parameter("ModelRegistry", "EnumValues", to=["mlflow", 1]),
        "parameter `ModelRegistry`, EnumValues", "1 is not a String"),
    "a default that an argument does not take": (
        set_parameter("LakeUri", "DefaultValue", to="x" * 257),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[3]",
        '257 characters; allowed: up to 256 characters, from {"Get": "Parameters.LakeUri"}'),
    "a parameter's name that is no name": (
        set_parameter("MlflowTrackingUri", "Name", to="Mlflow URI"), "parameter `Mlflow URI`, Name",
        "does not match the pattern"),
    "a parameter of an unknown type": (set_parameter("AsOf", "Type", to="Date"),
        "definition, Parameters[1]", "unknown Type `Date`; known: String, Integer, Float, Boolean"),
}  # fmt: skip

STOPPING = (*TRAIN, "StoppingCondition")
INPUT = (*SNAPSHOT, "ProcessingInputs", 0, "S3Input", "LocalPath")
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"
IN_TRAIN, IN_SNAPSHOT = "step `Train`, Arguments", "step `Snapshot`, Arguments"


def local_path(index: int) -> tuple[str | int, ...]:
    return (*SNAPSHOT, "ProcessingOutputConfig", "Outputs", index, "S3Output", "LocalPath")


def several(*faults: Fault) -> Fault:
    def fault(definition: Json) -> None:
        for change in faults:
            change(definition)

    return fault


def spot(**stopping: int) -> Fault:
    return several(
        set_in(*TRAIN, "EnableManagedSpotTraining", to=True), set_in(*STOPPING, to=stopping)
    )


def train_on(instance: str, key: str, value: str) -> Fault:
    return several(
        set_in(*TRAIN, "ResourceConfig", "InstanceType", to=instance),
        set_in(*TRAIN, "ResourceConfig", key, to=value),
    )


def one_of(*items: Json, **more: Any) -> Fault:
    """Sets the list of types that Train may get, in the place of its type."""

    def fault(definition: Json) -> None:
        config = find(definition, "Train")["Arguments"]["ResourceConfig"]
        del config["InstanceType"]
        config |= {"InstancePreferences": list(items), **more}

    return fault


def top(key: str, value: Any) -> Fault:
    """Sets a key of the definition itself, or takes it away."""

    def fault(definition: Json) -> None:
        definition[key] = value
        if value is None:
            del definition[key]

    return fault


# As in `ARGUMENT_FAULTS`.
RULE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "a run longer than SageMaker's": (set_in(*STOPPING, "MaxRuntimeInSeconds", to=28 * 86_400 + 1),
        f"{IN_TRAIN}.StoppingCondition.MaxRuntimeInSeconds",
        "2419201; a training job runs for at most 2419200 seconds, which are 28 days"),
    "a volume key and a type with disks in a list": (
        one_of(
            {"InstanceType": "ml.m5.xlarge"}, {"InstanceType": "ml.g5.xlarge"}, VolumeKmsKeyId=KEY
        ),
        f"{IN_TRAIN}.ResourceConfig.VolumeKmsKeyId", "ml.g5.xlarge has its own disks"),
    "no ARN of a training plan": (set_in(*TRAIN, "ResourceConfig", "TrainingPlanArn", to="p" * 50),
        f"{IN_TRAIN}.ResourceConfig.TrainingPlanArn", "does not match the pattern arn:aws[a-z"),
    **{
        f"a volume's key on {instance}": (
            train_on(instance, "VolumeKmsKeyId", KEY),
            f"{IN_TRAIN}.ResourceConfig.VolumeKmsKeyId",
            f"{instance} has its own disks, which the machine encrypts; SageMaker refuses a key",
        )
        for instance in ("ml.g5.xlarge", "ml.p5.48xlarge", "ml.g6.xlarge", "ml.trn1.2xlarge")
    },
    "a volume's key on a processing instance with disks": (
        several(
            set_in(*CLUSTER, "InstanceType", to="ml.r5d.large"),
            set_in(*CLUSTER, "VolumeKmsKeyId", to=KEY),
        ),
        f"{IN_SNAPSHOT}.ProcessingResources.ClusterConfig.VolumeKmsKeyId",
        "ml.r5d.large has its own disks",
    ),
    **{
        f"no image: {image}": (
            set_in(*SNAPSHOT, "AppSpecification", "ImageUri", to=image),
            f"{IN_SNAPSHOT}.AppSpecification.ImageUri",
            f"`{image}` is not an ECR image",
        )
        for image in (
            "job",
            "python:3.11",
            "https://111122223333.dkr.ecr.us-east-1.amazonaws.com/job:1",
            "111122223333.dkr.ecr.us-east-1.amazonaws.com/job:1:2",
            "111122223333.dkr.ecr.us-east-1.amazonaws.com/job@sha256:12",
            "11112222333.dkr.ecr.us-east-1.amazonaws.com/job:1",
        )
    },
    "no image to train with": (
        set_in(*TRAIN, "AlgorithmSpecification", "TrainingImage", to="train:latest"),
        f"{IN_TRAIN}.AlgorithmSpecification.TrainingImage", "`train:latest` is not an ECR image"),
    "an input elsewhere": (set_in(*INPUT, to="/opt/ml/config"),
        f"{IN_SNAPSHOT}.ProcessingInputs[0].S3Input.LocalPath",
        "`/opt/ml/config` is not below /opt/ml/processing/"),
    "an input that climbs out": (set_in(*INPUT, to="/opt/ml/processing/../config"),
        f"{IN_SNAPSHOT}.ProcessingInputs[0].S3Input.LocalPath", "is not below /opt/ml/processing/"),
    "an output elsewhere": (
        set_in(*local_path(0), to="/tmp/out"),  # noqa: S108 - the path is what is wrong
        f"{IN_SNAPSHOT}.ProcessingOutputConfig.Outputs[0].S3Output.LocalPath",
        "`/tmp/out` is not below /opt/ml/processing/",
    ),
    "an input and an output in one folder": (
        several(
            set_in(*INPUT, to="/opt/ml/processing/both"),
            set_in(*local_path(1), to="/opt/ml/processing/both/"),
        ),
        f"{IN_SNAPSHOT}.ProcessingOutputConfig.Outputs[1].S3Output.LocalPath",
        "`/opt/ml/processing/both/` is the folder of ProcessingInputs[0] too; give each its own",
    ),
    "an experiment": (
        top("PipelineExperimentConfig", {"ExperimentName": "tune", "TrialName": "one"}),
        "definition, PipelineExperimentConfig",
        "MLflow tracks the runs: pass pipeline_experiment_config=None"),
    "no version": (top("Version", None), "definition", "key `Version` is missing"),
    "a wrong version": (top("Version", "2021-01-01"), "definition, Version",
        "'2021-01-01' is not known; allowed: \"2020-12-01\""),
}  # fmt: skip
