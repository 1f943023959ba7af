"""Slips in a step's arguments: names, types, what is required, limits."""

from tests.pipeline.faults import SNAPSHOT, TRAIN, Fault, drop, rename, set_in

CLUSTER = (*SNAPSHOT, "ProcessingResources", "ClusterConfig")


# What is changed, and the place and the text of the message.
ARGUMENT_FAULTS: dict[str, tuple[Fault, str, str]] = {
    # The API: names.
    "misspelt argument": (
        rename(*TRAIN, "StoppingCondition", to="StopingCondition"),
        "step `Train`, Arguments",
        "unknown key `StopingCondition`; allowed among others: StoppingCondition",
    ),
    # Types.
    "text for an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to="1"),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string ("1")',
    ),
    "a boolean for an integer": (
        set_in(*CLUSTER, "VolumeSizeInGB", to=True),
        "step `Snapshot`, Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "expected an integer, got a boolean (true)",
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
    "bad pattern": (
        set_in(*TRAIN, "RoleArn", to="arn:aws:iam::1111:role/sashiko"),
        "step `Train`, Arguments.RoleArn",
        "does not match the pattern",
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
        "not supported; MLflow tracks the runs: remove it",
    ),
}
