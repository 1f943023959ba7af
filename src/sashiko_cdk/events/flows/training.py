"""A loaded version of a table -> an execution of the pipeline that trains on it."""

from typing import Any

from sashiko_cdk.events.flows.language import call, expression, flow


def training_flow(pipeline: str) -> dict[str, Any]:
    """Returns the flow that the success of an ETL job starts.

    The job run's id is the token of the execution: however often the event comes, SageMaker starts
    one. The event does not say which extract was loaded, so the run is asked.

    Args:
        pipeline: the pipeline's name.
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
