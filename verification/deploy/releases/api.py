"""CodePipeline's operations for people: what waits, the answer to it, another try."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from verification.deploy.accounts.answers import ServiceError
from verification.deploy.accounts.organization import Organization, Served
from verification.deploy.accounts.sessions import Session

if TYPE_CHECKING:
    from verification.deploy.releases.pipeline import Pipeline

Request = Mapping[str, Any]


def serve_api(pipeline: "Pipeline", organization: Organization, arn: str) -> None:
    """Lets an organization answer what the emulator's own CodePipeline does not know.

    Each operation needs the caller's permission on the resource that the "Service Authorization
    Reference" names: the pipeline, its stage or its action.
    """
    api = _Api(pipeline)
    served = {
        "codepipeline:GetPipelineState": Served(handler=api.state, resource=lambda _: arn),
        "codepipeline:PutApprovalResult": Served(
            handler=api.put_approval,
            resource=lambda request: f"{arn}/{request['stageName']}/{request['actionName']}",
        ),
        "codepipeline:RetryStageExecution": Served(
            handler=api.retry, resource=lambda request: f"{arn}/{request['stageName']}"
        ),
        "codepipeline:StartPipelineExecution": Served(handler=api.start, resource=lambda _: arn),
        "codeconnections:GetConnection": Served(
            handler=api.connection, resource=lambda request: str(request["ConnectionArn"])
        ),
    }
    account = arn.split(":")[4]
    for operation, item in served.items():
        organization.served[account, operation] = item


class _Api:
    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline

    def state(self, _: Session, request: Request) -> Request:
        """Answers GetPipelineState, as far as an approver reads it."""
        pending = [item for execution in self._pipeline.open() if (item := execution.waits_for)]
        return {
            "pipelineName": request["name"],
            "stageStates": [
                {
                    "stageName": item.stage,
                    "actionStates": [
                        {
                            "actionName": item.action,
                            "latestExecution": {
                                "status": "InProgress",
                                "token": item.token,
                                "summary": item.message,
                            },
                        }
                    ],
                }
                for item in pending
            ],
        }

    def put_approval(self, session: Session, request: Request) -> Request:
        """Takes a person's answer, and who gave it."""
        names = (request["stageName"], request["actionName"], request["token"])
        approvals = [item for execution in self._pipeline.open() for item in execution.approvals]
        for approval in approvals:
            if (approval.stage, approval.action, approval.token) == names:
                if approval.status != "InProgress":
                    raise ServiceError(
                        "ApprovalAlreadyCompletedException",
                        "The approval action has already been approved or rejected.",
                    )
                approval.status, approval.by = request["result"]["status"], session.arn
                return {"approvedAt": 0}
        raise ServiceError(
            "InvalidApprovalTokenException",
            "The approval request already received a response or has expired.",
        )

    def retry(self, _: Session, request: Request) -> Request:
        """Takes up a stage that failed."""
        assert request["retryMode"] == "FAILED_ACTIONS"
        identifier = request["pipelineExecutionId"]
        if not self._pipeline.retry(self._pipeline.executions[identifier], request["stageName"]):
            raise ServiceError(
                "StageNotRetryableException",
                "Unable to retry. The pipeline structure or stage state might have changed while "
                "actions awaited retry, or the stage contains no failed actions.",
            )
        return {"pipelineExecutionId": identifier}

    def start(self, _: Session, request: Request) -> Request:
        """Starts an execution, of another commit than the branch's newest where one is named."""
        (revision,) = request.get("sourceRevisions") or ({},)
        assert revision.get("revisionType", "COMMIT_ID") == "COMMIT_ID"
        return {"pipelineExecutionId": self._pipeline.start(revision.get("revisionValue"))}

    def connection(self, _: Session, request: Request) -> Request:
        """Answers GetConnection."""
        status = self._pipeline.actions.connection_status
        return {
            "Connection": {"ConnectionArn": request["ConnectionArn"], "ConnectionStatus": status}
        }
