"""The retry policies of a step's job.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html, read 2026-11-25.
"""

from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)

_Step, _Job = StepExceptionTypeEnum, SageMakerJobExceptionTypeEnum


def retries() -> list[RetryPolicy]:
    """Returns a job step's policies, for transient faults only.

    Closed gates, failing code and missing permissions are not retried. Every step is safe to run
    twice: outputs are written atomically, Track and Register look for the result of an earlier
    attempt first, and DeviceCheck deletes it first.
    """
    return [
        # The Create call failed or was throttled: wait seconds, then minutes.
        StepRetryPolicy(
            exception_types=[_Step.SERVICE_FAULT, _Step.THROTTLING],
            interval_seconds=5,
            backoff_rate=2.0,
            max_attempts=6,
        ),
        # No instance is free, in the region or in the account's quota, until other jobs end.
        SageMakerJobStepRetryPolicy(
            exception_types=[_Job.CAPACITY_ERROR, _Job.RESOURCE_LIMIT],
            interval_seconds=120,
            backoff_rate=1.5,
            max_attempts=8,
        ),
        # The instance or the service failed while the job ran.
        SageMakerJobStepRetryPolicy(
            failure_reason_types=[_Job.INTERNAL_ERROR],
            interval_seconds=30,
            backoff_rate=2.0,
            max_attempts=2,
        ),
    ]
