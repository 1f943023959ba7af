"""The flow that starts the training pipeline on a loaded version of its table."""

from typing import Any

from sashiko_cdk.events.flows.language import call, expression, flow


def training_flow(pipeline: str) -> dict[str, Any]:
    """Returns the flow that the success of an ETL job starts.

    The id of the job run is the execution's idempotency token: SageMaker starts one execution
    however often the event is delivered. The event does not name the extract, so the flow reads it
    from the job run.
    """
    return flow(
        "Starts the pipeline on the version that an ETL job has loaded",
        start="ReadRun",
        states={
            "ReadRun": call(
                "aws-sdk:glue:getJobRun",
                {
                    "JobName": expression("$states.input.detail.jobName"),
                    "RunId": expression("$states.input.detail.jobRunId"),
                },
                Assign={
                    "as_of": expression("$states.result.JobRun.Arguments.`--as-of`"),
                    "run": expression("$states.input.detail.jobRunId"),
                },
                Next="Start",
            ),
            "Start": call(
                "aws-sdk:sagemaker:startPipelineExecution",
                {
                    "PipelineName": pipeline,
                    "ClientRequestToken": expression("$run"),
                    "PipelineExecutionDisplayName": expression("'as-of-' & $as_of"),
                    "PipelineExecutionDescription": expression("'ETL job run ' & $run"),
                    "PipelineParameters": [{"Name": "AsOf", "Value": expression("$as_of")}],
                },
                End=True,
            ),
        },
    )
