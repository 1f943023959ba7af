"""When SageMaker starts a step's job again by itself, and how often."""

from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)

_Step, _Job = StepExceptionTypeEnum, SageMakerJobExceptionTypeEnum


def retries() -> list[RetryPolicy]:
    """Returns a job step's policies: what a second attempt may not meet again.

    A gate that closes, code that fails and a permission that lacks are not tried twice. Every step
    may run twice: its outputs appear whole or not at all, Track and Register look first for what an
    attempt before made, and DeviceCheck deletes it first.
    """
    return [
        # The call that makes a job failed or was throttled: seconds, then minutes.
        StepRetryPolicy(
            exception_types=[_Step.SERVICE_FAULT, _Step.THROTTLING],
            interval_seconds=5,
            backoff_rate=2.0,
            max_attempts=6,
        ),
        # No instance is free, in the region or in the account's quota: others' jobs must end.
        SageMakerJobStepRetryPolicy(
            exception_types=[_Job.CAPACITY_ERROR, _Job.RESOURCE_LIMIT],
            interval_seconds=120,
            backoff_rate=1.5,
            max_attempts=8,
        ),
        # The machine or the service failed under the job.
        SageMakerJobStepRetryPolicy(
            failure_reason_types=[_Job.INTERNAL_ERROR],
            interval_seconds=30,
            backoff_rate=2.0,
            max_attempts=2,
        ),
    ]
