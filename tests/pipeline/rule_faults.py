"""Slips that no shape of the API knows: rules between arguments, and of a whole definition."""

from typing import Any

from tests.pipeline.faults import SNAPSHOT, TRAIN, Fault, Json, set_in

STOPPING = (*TRAIN, "StoppingCondition")
CLUSTER = (*SNAPSHOT, "ProcessingResources", "ClusterConfig")
INPUT = (*SNAPSHOT, "ProcessingInputs", 0, "S3Input", "LocalPath")
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"
IN_TRAIN, IN_SNAPSHOT = "step `Train`, Arguments", "step `Snapshot`, Arguments"


def output(index: int) -> tuple[str | int, ...]:
    return (*SNAPSHOT, "ProcessingOutputConfig", "Outputs", index, "S3Output", "LocalPath")


def several(*faults: Fault) -> Fault:
    """Makes one fault of several changes."""

    def fault(definition: Json) -> None:
        for change in faults:
            change(definition)

    return fault


def spot(**stopping: int) -> Fault:
    """Lets Train run on spot capacity."""
    return several(
        set_in(*TRAIN, "EnableManagedSpotTraining", to=True), set_in(*STOPPING, to=stopping)
    )


def train_on(instance: str, key: str, value: str) -> Fault:
    """Lets Train run on an instance, with another key of its resources."""
    return several(
        set_in(*TRAIN, "ResourceConfig", "InstanceType", to=instance),
        set_in(*TRAIN, "ResourceConfig", key, to=value),
    )


def top(key: str, value: Any) -> Fault:
    """Sets a key of the definition itself, or takes it away."""

    def fault(definition: Json) -> None:
        definition[key] = value
        if value is None:
            del definition[key]

    return fault


# As in `argument_faults`.
RULE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "spot without a wait": (
        spot(MaxRuntimeInSeconds=3600),
        f"{IN_TRAIN}.StoppingCondition.MaxWaitTimeInSeconds",
        "is missing, and managed spot training needs it",
    ),
    "a wait shorter than the run": (
        spot(MaxRuntimeInSeconds=3600, MaxWaitTimeInSeconds=3599),
        f"{IN_TRAIN}.StoppingCondition.MaxWaitTimeInSeconds",
        "3599, less than MaxRuntimeInSeconds (3600), which it includes",
    ),
    "a wait shorter than the default run": (
        spot(MaxWaitTimeInSeconds=86_399),
        f"{IN_TRAIN}.StoppingCondition.MaxWaitTimeInSeconds",
        "86399, less than MaxRuntimeInSeconds (86400, the default of a day)",
    ),
    "a run longer than SageMaker's": (
        set_in(*STOPPING, "MaxRuntimeInSeconds", to=28 * 86_400 + 1),
        f"{IN_TRAIN}.StoppingCondition.MaxRuntimeInSeconds",
        "2419201; a training job runs for at most 2419200 seconds, which are 28 days",
    ),
    "a warm pool of spot instances": (
        several(
            spot(MaxRuntimeInSeconds=3600, MaxWaitTimeInSeconds=3600),
            set_in(*TRAIN, "ResourceConfig", "KeepAlivePeriodInSeconds", to=600),
        ),
        f"{IN_TRAIN}.ResourceConfig.KeepAlivePeriodInSeconds",
        "600, and managed spot training has no warm pool",
    ),
    "a training plan and spot": (
        several(
            train_on("ml.p5.48xlarge", "TrainingPlanArn", PLAN),
            spot(MaxRuntimeInSeconds=3600, MaxWaitTimeInSeconds=3600),
        ),
        f"{IN_TRAIN}.ResourceConfig.TrainingPlanArn",
        "EnableManagedSpotTraining is true: a job runs on the capacity of a plan or on spot",
    ),
    "a training plan of a type that none reserves": (
        train_on("ml.g6e.48xlarge", "TrainingPlanArn", PLAN),
        f"{IN_TRAIN}.ResourceConfig.TrainingPlanArn",
        "no training plan reserves ml.g6e.48xlarge; remove the plan, or set InstanceType",
    ),
    "EFA on a type without it": (
        several(
            set_in(*TRAIN, "ResourceConfig", "InstanceType", to="ml.g6.xlarge"),
            set_in(*TRAIN, "Environment", "FI_PROVIDER", to="efa"),
        ),
        f"{IN_TRAIN}.Environment.FI_PROVIDER",
        "efa, and ml.g6.xlarge has no Elastic Fabric Adapter",
    ),
    "no ARN of a training plan": (
        set_in(*TRAIN, "ResourceConfig", "TrainingPlanArn", to="p" * 50),
        f"{IN_TRAIN}.ResourceConfig.TrainingPlanArn",
        "does not match the pattern arn:aws[a-z",
    ),
    **{
        f"a volume's key on {instance}": (
            train_on(instance, "VolumeKmsKeyId", KEY),
            f"{IN_TRAIN}.ResourceConfig.VolumeKmsKeyId",
            f"{instance} has disks of its own, which the machine encrypts; SageMaker refuses a key",
        )
        for instance in ("ml.g5.xlarge", "ml.p5.48xlarge", "ml.g6.xlarge", "ml.trn1.2xlarge")
    },
    "a volume's key on a processing instance with disks": (
        several(
            set_in(*CLUSTER, "InstanceType", to="ml.r5d.large"),
            set_in(*CLUSTER, "VolumeKmsKeyId", to=KEY),
        ),
        f"{IN_SNAPSHOT}.ProcessingResources.ClusterConfig.VolumeKmsKeyId",
        "ml.r5d.large has disks of its own",
    ),
    "a tag that AWS keeps": (
        set_in(*TRAIN, "Tags", to=[{"Key": "AWS:team", "Value": "x"}]),
        f"{IN_TRAIN}.Tags[0].Key",
        "`AWS:team`: AWS keeps keys that begin with `aws:` for itself",
    ),
    "a tag twice": (
        set_in(*SNAPSHOT, "Tags", to=[{"Key": "team", "Value": v} for v in ("x", "y")]),
        f"{IN_SNAPSHOT}.Tags[1].Key",
        "`team` is the key of Tags[0] too",
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
        f"{IN_TRAIN}.AlgorithmSpecification.TrainingImage",
        "`train:latest` is not an ECR image",
    ),
    "an input elsewhere": (
        set_in(*INPUT, to="/opt/ml/config"),
        f"{IN_SNAPSHOT}.ProcessingInputs[0].S3Input.LocalPath",
        "`/opt/ml/config` is not below /opt/ml/processing/",
    ),
    "an input that climbs out": (
        set_in(*INPUT, to="/opt/ml/processing/../config"),
        f"{IN_SNAPSHOT}.ProcessingInputs[0].S3Input.LocalPath",
        "is not below /opt/ml/processing/",
    ),
    "an output elsewhere": (
        set_in(*output(0), to="/tmp/out"),  # noqa: S108 - the path is what is wrong
        f"{IN_SNAPSHOT}.ProcessingOutputConfig.Outputs[0].S3Output.LocalPath",
        "`/tmp/out` is not below /opt/ml/processing/",
    ),
    "an input and an output in one folder": (
        several(
            set_in(*INPUT, to="/opt/ml/processing/both"),
            set_in(*output(1), to="/opt/ml/processing/both/"),
        ),
        f"{IN_SNAPSHOT}.ProcessingOutputConfig.Outputs[1].S3Output.LocalPath",
        "`/opt/ml/processing/both/` is the folder of ProcessingInputs[0] too; give each its own",
    ),
    "an experiment": (
        top("PipelineExperimentConfig", {"ExperimentName": "tune", "TrialName": "one"}),
        "definition, PipelineExperimentConfig",
        "MLflow tracks the runs: pass pipeline_experiment_config=None",
    ),
    "no version": (top("Version", None), "definition", "key `Version` is missing"),
    "a wrong version": (
        top("Version", "2021-01-01"),
        "definition, Version",
        "'2021-01-01' is not known; allowed: \"2020-12-01\"",
    ),
}
