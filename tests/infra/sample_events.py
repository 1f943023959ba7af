"""Events as AWS documents them, with names of the dev environment.

S3: "Amazon S3 event message structure" (EventBridge); Glue: "Automating AWS Glue with EventBridge";
SageMaker: "Events that Amazon SageMaker AI sends to Amazon EventBridge"; Step Functions:
"Automating Step Functions event delivery with EventBridge"; STS: "AWS Security Token Service
events". Read 2026-11-25.
"""

from typing import Any

ACCOUNT = "111122223333"
_SAGEMAKER = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
RUN = "jr_" + "0123456789abcdef" * 4


def _event(source: str, kind: str, time: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": time,
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }


def scheduled(time: str, *, rule: str = "sashiko-dev-complaints-monitor-weekly") -> Any:
    """The time of a schedule has come ("Creating a rule that runs on a schedule", EventBridge)."""
    return _event("aws.events", "Scheduled Event", time, {}) | {
        "resources": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{rule}"]
    }


def object_created(
    key: str, *, bucket: str = f"sashiko-dev-raw-{ACCOUNT}-us-east-1", time: str = ""
) -> dict[str, Any]:
    detail = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {
            "key": key,
            "size": 0,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "00617F08299329D189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": ACCOUNT,
        "source-ip-address": "1.2.3.4",
        "reason": "PutObject",
    }
    return _event("aws.s3", "Object Created", time or "2026-11-25T10:45:00Z", detail)


def job_ended(state: str, *, job: str = "sashiko-dev-etl-complaints", run: str = RUN) -> Any:
    detail = {
        "jobName": job,
        "severity": "INFO" if state == "SUCCEEDED" else "ERROR",
        "state": state,
        "jobRunId": run,
        "message": "Job run succeeded"
        if state == "SUCCEEDED"
        else 'LoadError: rule "RowCount > 0" failed',
    }
    return _event("aws.glue", "Glue Job State Change", "2026-11-25T10:59:00Z", detail)


def execution_ended(status: str, *, pipeline: str = "sashiko-dev-complaints") -> dict[str, Any]:
    arn = f"{_SAGEMAKER}:pipeline/{pipeline}"
    detail = {
        "pipelineExecutionDisplayName": "as-of-20261125T104500Z",
        "currentPipelineExecutionStatus": status,
        "previousPipelineExecutionStatus": "Executing",
        "executionStartTime": "2026-11-25T11:00:00Z",
        "executionEndTime": "2026-11-25T11:50:00Z",
        "pipelineExecutionDescription": "SomeDescription",
        "pipelineArn": arn,
        "pipelineExecutionArn": f"{arn}/execution/p4jn9xou8a8s",
    }
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    return _event("aws.sagemaker", kind, "2026-11-25T11:50:01Z", detail)


def package_changed(
    approval: str, *, group: str = "sashiko-dev-complaint-triage", status: str = "Completed"
) -> dict[str, Any]:
    detail = {
        "ModelPackageGroupName": group,
        "ModelPackageVersion": 2,
        "ModelPackageArn": f"{_SAGEMAKER}:model-package/{group}/2",
        "CreationTime": "2026-11-25T11:45:00Z",
        "InferenceSpecification": {"Containers": [], "SupportedContentTypes": ["text/csv"]},
        "ModelPackageStatus": status,
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CertifyForMarketplace": False,
        "ModelApprovalStatus": approval,
        "LastModifiedTime": "2026-11-25T12:00:00Z",
    }
    kind = "SageMaker Model Package State Change"
    return _event("aws.sagemaker", kind, "2026-11-25T12:00:00Z", detail)


def role_assumed(role: str = "sashiko-dev-break-glass", **more: Any) -> dict[str, Any]:
    """Somebody asked STS for a role."""
    detail = {
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "IAMUser",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/ada",
            "accountId": ACCOUNT,
        },
        "eventTime": "2026-11-25T12:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "requestParameters": {
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
            "roleSessionName": "ada",
        },
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        **more,
    }
    return _event("aws.sts", "AWS API Call via CloudTrail", "2026-11-25T12:00:01Z", detail)


def machine_ended(status: str, *, machine: str = "sashiko-dev-start-etl") -> dict[str, Any]:
    place = f"arn:aws:states:us-east-1:{ACCOUNT}"
    detail = {
        "executionArn": f"{place}:execution:{machine}:some-id",
        "stateMachineArn": f"{place}:stateMachine:{machine}",
        "name": "some-id",
        "status": status,
        "startDate": 1551225271984,
        "stopDate": 1551225331984,
        "input": "{}",
        "output": None,
    }
    kind = "Step Functions Execution Status Change"
    return _event("aws.states", kind, "2026-11-25T10:46:00Z", detail)
