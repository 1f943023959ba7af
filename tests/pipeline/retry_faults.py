"""Slips in a step's retry policies, and an experiment of SageMaker's."""

from typing import Any

from tests.pipeline.faults import Fault, Json, drop, rename, set_in

POLICY = ("Train", "RetryPolicies", 1)
WHERE = "step `Train`, RetryPolicies[1]"


def experiment(**keys: Any) -> Fault:
    """Gives the definition an experiment."""

    def fault(definition: Json) -> None:
        definition["PipelineExperimentConfig"] = keys

    return fault


# As in `argument_faults`.
RETRY_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "an unknown exception": (
        set_in(*POLICY, "ExceptionType", to=["SageMaker.CAPACITY"]),
        f"{WHERE}.ExceptionType",
        "`SageMaker.CAPACITY` is not known; allowed: Step.SERVICE_FAULT, ",
    ),
    "no exception": (
        drop(*POLICY, "ExceptionType"),
        f"{WHERE}.ExceptionType",
        "expected a list of exceptions",
    ),
    "an exception twice": (
        set_in(*POLICY, "ExceptionType", to=["Step.THROTTLING"]),
        f"{WHERE}.ExceptionType",
        "an earlier policy of the step is for `Step.THROTTLING` already",
    ),
    "a misspelt key of a policy": (
        rename(*POLICY, "MaxAttempts", to="MaxAttempt"),
        WHERE,
        "unknown key `MaxAttempt`; allowed: ExceptionType, ",
    ),
    "too many attempts": (
        set_in(*POLICY, "MaxAttempts", to=21),
        f"{WHERE}.MaxAttempts",
        "21; allowed: a whole number from 1 to 20",
    ),
    "a wait that is no whole number": (
        set_in(*POLICY, "IntervalSeconds", to=1.5),
        f"{WHERE}.IntervalSeconds",
        "1.5; allowed: a whole number from 1 to 43200",
    ),
    "waits that get shorter": (
        set_in(*POLICY, "BackoffRate", to=0.5),
        f"{WHERE}.BackoffRate",
        "0.5; allowed: a number of 1 or more",
    ),
    "two ends": (
        set_in(*POLICY, "ExpireAfterMin", to=60),
        WHERE,
        "give one of MaxAttempts and ExpireAfterMin",
    ),
    "a policy that is none": (set_in(*POLICY, to="twice"), WHERE, "expected an object"),
    "policies that are no list": (
        set_in("Train", "RetryPolicies", to={"MaxAttempts": 2}),
        "step `Train`, RetryPolicies",
        "expected a list",
    ),
    "a retry of what runs no job": (
        set_in("DataGate", "RetryPolicies", to=[{"ExceptionType": ["Step.THROTTLING"]}]),
        "step `DataGate`, RetryPolicies",
        "a Lambda step runs no job",
    ),
    "an experiment": (
        experiment(ExperimentName="tune", TrialName="one"),
        "definition, PipelineExperimentConfig",
        "MLflow tracks the runs: pass pipeline_experiment_config=None",
    ),
}
