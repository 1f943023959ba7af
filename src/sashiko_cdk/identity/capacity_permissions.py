"""What the use of reserved training capacity takes, beside the permission to create a job."""

from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow

_IDS = (
    "SageMaker chooses the ids of a plan's reserved capacities; all belong to plans of the account."
)


def training_plan_permissions(settings: Settings) -> list[Allowed]:
    """Returns what a job on the environment's training plan needs; nothing if it names none.

    CreateTrainingJob is authorized on the plan and its reserved capacities as well as on the job
    ("IAM for SageMaker training plans", Amazon SageMaker AI Developer Guide).
    """
    plan = settings.jobs.training.training_plan
    if plan is None:
        return []
    reserved = f"arn:aws:sagemaker:{settings.region}:{settings.account}:reserved-capacity/*"
    return [allow(["sagemaker:CreateTrainingJob"], [plan, reserved], why=_IDS)]
