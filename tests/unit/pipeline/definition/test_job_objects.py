"""Where a definition's jobs read and write."""

from typing import Any

from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.graph import JobObjects, job_objects

RUN = {"Get": "Execution.PipelineExecutionId"}


def joined(*parts: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "/", "Values": list(parts)}}


def processing(name: str, *, inputs: list[Any], outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": f"arn:role/{name}",
            "AppSpecification": {
                "ContainerArguments": ["--uri", joined("s3://b", RUN), "--n", "3"]
            },
            "ProcessingInputs": [
                {"InputName": str(index), "S3Input": {"S3Uri": uri}}
                for index, uri in enumerate(inputs)
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {"OutputName": output, "S3Output": {"S3Uri": uri}}
                    for output, uri in outputs.items()
                ]
            },
        },
    }


TRAIN = {
    "Name": "Train",
    "Type": "Training",
    "Arguments": {
        "RoleArn": "arn:role/Train",
        "InputDataConfig": [
            {
                "ChannelName": "rows",
                "DataSource": {
                    "S3DataSource": {
                        "S3Uri": {
                            "Get": "Steps.Make.ProcessingOutputConfig.Outputs['rows']"
                            ".S3Output.S3Uri"
                        }
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": joined("s3://b/runs", RUN, "Train")},
        "CheckpointConfig": {"S3Uri": "s3://b/checkpoints/"},
    },
}


def test_each_job_has_its_inputs_outputs_and_arguments() -> None:
    parameters = [
        {"Name": "Manifest", "Type": "String", "DefaultValue": "s3://b/source/1"},
        {"Name": "AsOf", "Type": "String"},
    ]
    make = processing(
        "Make",
        inputs=[{"Get": "Parameters.Manifest"}, joined("s3://b/data", {"Get": "Parameters.AsOf"})],
        outputs={"rows": joined("s3://b/runs", RUN, "Make/rows")},
    )
    use = processing(
        "Use", inputs=[{"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}], outputs={}
    )
    definition = parse_definition({"Parameters": parameters, "Steps": [use, TRAIN, make]})
    assert sorted(job_objects(definition), key=lambda job: job.step) == [
        JobObjects(
            step="Make",
            role="arn:role/Make",
            reads=("s3://b/source/1", "s3://b/data/*"),
            writes=("s3://b/runs/*/Make/rows",),
            arguments={"--uri": "s3://b/*"},
        ),
        JobObjects(
            step="Train",
            role="arn:role/Train",
            reads=("s3://b/runs/*/Make/rows", "s3://b/checkpoints"),
            writes=("s3://b/runs/*/Train", "s3://b/checkpoints"),
            arguments={},
        ),
        JobObjects(
            step="Use",
            role="arn:role/Use",
            reads=("s3://b/runs/*/Train/*/output/model.tar.gz",),
            writes=(),
            arguments={"--uri": "s3://b/*"},
        ),
    ]
