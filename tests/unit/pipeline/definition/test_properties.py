import pytest

from sashiko.pipeline.definition.expressions import describe_job, job_name, look_up

DESCRIPTION = {
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "a.b", "S3Output": {"S3Uri": "s3://x/a"}},
            {"OutputName": "c", "S3Output": {"S3Uri": "s3://x/c"}},
        ]
    },
    "metrics": {"list": [{"v": 1}, {"v": 2}]},
}


@pytest.mark.parametrize(("path", "value"), [
    ("ProcessingOutputConfig.Outputs['a.b'].S3Output.S3Uri", "s3://x/a"),
    ("ProcessingOutputConfig.Outputs[1].S3Output.S3Uri", "s3://x/c"),
    ("metrics.list[1].v", 2),
    ("metrics['list'][0]['v']", 1),
])  # fmt: skip
def test_paths_lead_by_name_and_by_position(path: str, value: object) -> None:
    assert look_up(DESCRIPTION, path, where="here") == value


def test_a_training_job_has_its_artifacts_below_its_name() -> None:
    arguments = {"OutputDataConfig": {"S3OutputPath": "s3://x/out/"}}
    name = job_name("run-1", "Train")
    description = describe_job("Training", name=name, arguments=arguments)
    assert description["ModelArtifacts"]["S3ModelArtifacts"] == (
        "s3://x/out/pipelines-run-1-Train/output/model.tar.gz"
    )
    assert description["TrainingJobName"] == "pipelines-run-1-Train"


def test_job_names_fit_the_services_limit() -> None:
    assert len(job_name("run", "S" * 64)) == 63
