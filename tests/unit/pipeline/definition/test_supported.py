import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parameter_values, parse_definition
from sashiko.pipeline.definition.expressions import look_up
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko.pipeline.runner.definition_run import check_supported
from tests.unit.hostile import bent, bounded

PROCESSING: dict[str, Any] = {
    "Name": "Make", "Type": "Processing",
    "Arguments": {
        "RoleArn": "arn:aws:iam::111122223333:role/x",
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "x.py"]},
        "ProcessingInputs": [{
            "InputName": "in",
            "S3Input": {"S3Uri": "s3://b/in", "LocalPath": "/opt/ml/processing/input/in"},
        }],
        "ProcessingOutputConfig": {"Outputs": [{
            "OutputName": "out",
            "S3Output": {
                "S3Uri": {"Std:Join": {"Values": ["s3://b/", {"Get": "Parameters.P"}]}},
                "LocalPath": "/opt/ml/processing/output/out",
            },
        }]},
        "Environment": {},
    },
}  # fmt: skip

TRAINING: dict[str, Any] = {
    "Name": "Train", "Type": "Training",
    "Arguments": {
        "RoleArn": "arn:aws:iam::111122223333:role/x",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceCount": 1},
        "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
        "InputDataConfig": [{
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"},
            }},
        }],
    },
}  # fmt: skip


def check(*steps: dict[str, Any]) -> None:
    check_supported(
        parse_definition({"Steps": list(steps)}),
        parameters={"P": "text", "N": 3},
        execution={"PipelineExecutionId": "run-1"},
        images=["image"],
    )


def changed(step: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Returns the step with the value at a dotted path below Arguments replaced."""
    result = copy.deepcopy(step)
    *parents, last = path.split(".")
    target = result["Arguments"]
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
    target[last] = value
    return result


def test_known_steps_are_accepted_and_bad_names_times_and_places_refused() -> None:
    check(PROCESSING, TRAINING)
    with pytest.raises(InputError, match=r"CacheConfig\.ExpireAfter: `soon`"):
        check({**PROCESSING, "CacheConfig": {"Enabled": True, "ExpireAfter": "soon"}})
    with pytest.raises(InputError, match="a name is letters, digits and single hyphens"):
        check({**PROCESSING, "Name": "../x"})
    with pytest.raises(InputError, match="one would replace the other"):
        check(PROCESSING, {**PROCESSING, "Name": "Other"})


IN, OUT = "ProcessingInputs.0.S3Input", "ProcessingOutputConfig.Outputs.0.S3Output"


@pytest.mark.parametrize(("step", "path", "value", "message"), [
    (PROCESSING, "Surprise", 1, "step `Make`, Arguments: unknown key `Surprise`"),
    (PROCESSING, f"{IN}.S3DataType", "ManifestFile", f"key `{IN}.S3DataType`"),
    (PROCESSING, f"{IN}.S3InputMode", "Pipe", f"key `{IN}.S3InputMode`"),
    (PROCESSING, f"{IN}.S3CompressionType", "Gzip", f"key `{IN}.S3CompressionType`"),
    (PROCESSING, f"{IN}.LocalPath", "/etc", "must lie below /opt/ml/processing"),
    (PROCESSING, f"{IN}.LocalPath", "/opt/ml/processing/../..", "must lie below"),
    (PROCESSING, f"{IN}.S3Uri", "https://b/x", f"key `{IN}.S3Uri`"),
    (PROCESSING, "ProcessingInputs.0.InputName", "../x", "InputName"),
    (PROCESSING, f"{OUT}.S3UploadMode", "Continuous", f"key `{OUT}.S3UploadMode`"),
    (PROCESSING, "ProcessingResources.ClusterConfig.InstanceCount", 0, "InstanceCount"),
    (PROCESSING, f"{IN}.S3DataDistributionType", "ShardedByS3Key", "S3DataDistributionType"),
    (PROCESSING, "AppSpecification.ImageUri", "other", "no local command for the image `other`"),
    (PROCESSING, "AppSpecification.ImageUri", {"Std:Nope": 1}, "unknown function `Std:Nope`"),
    (PROCESSING, "AppSpecification.ContainerArguments", ["--n", {"Get": "Parameters.N"}],
     "key `AppSpecification.ContainerArguments.1`: Input should be a valid string (got 3)"),
    (TRAINING, "HyperParameters.n", {"Get": "Parameters.N"}, "key `HyperParameters.n`"),
    (TRAINING, "AlgorithmSpecification.AlgorithmName", "x", "AlgorithmName"),
    (TRAINING, "AlgorithmSpecification.TrainingInputMode", "Pipe", "TrainingInputMode"),
    (TRAINING, "OutputDataConfig.CompressionType", "NONE", "CompressionType"),
    (TRAINING, "CheckpointConfig", {"S3Uri": "s3://b/c", "LocalPath": "/x"}, "LocalPath"),
    (TRAINING, "InputDataConfig.0.DataSource.S3DataSource.S3Uri",
     {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['lost'].S3Output.S3Uri"},
     "`ProcessingOutputConfig.Outputs['lost'].S3Output.S3Uri` has no `lost`"),
    (TRAINING, "Environment.U", {"Get": "Steps.Make.ExitMessage"}, "no `ExitMessage`"),
    (TRAINING, "OutputDataConfig.S3OutputPath", "s3://b/text/in", "one would replace the other"),
])  # fmt: skip
def test_what_we_would_get_wrong_is_refused(step, path, value, message):
    bad = changed(step, path, value)
    with pytest.raises(InputError) as caught:
        check(*((bad,) if step is PROCESSING else (PROCESSING, bad)))
    assert message in str(caught.value)
    assert f"step `{step['Name']}`" in str(caught.value)


@pytest.mark.parametrize(("step", "path"), [
    (PROCESSING, "ProcessingInputs"),
    (PROCESSING, "ProcessingOutputConfig.Outputs"),
    (TRAINING, "InputDataConfig"),
])  # fmt: skip
def test_names_are_used_once(step: dict[str, Any], path: str) -> None:
    twice = changed(step, path, look_up(step["Arguments"], path, where="") * 2)
    with pytest.raises(InputError, match="two of them are named"):
        check(*((twice,) if step is PROCESSING else (PROCESSING, twice)))


ROOT = Path(__file__).parents[4]
SHIPPED = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())

EXECUTION = dict.fromkeys(
    ("PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "PipelineName"), "x"
)

PARAMETERS = {
    "LakeUri": "duckdb://x", "AsOf": "x", "ModelRegistry": "mlflow", "MlflowTrackingUri": "x",
    "RunManifestUri": "s3://x/y", "DefinitionSha256": "0",
}  # fmt: skip


class EveryImage:
    """Knows each image, so that a bent one is not the only fault."""

    def __contains__(self, image: object) -> bool:
        return True

    def __iter__(self):
        return iter(())


def prepare(value: object) -> None:
    """Does what a run does with a definition before it starts a step."""
    definition = parse_definition(value)
    declared = {parameter.name for parameter in definition.parameters}
    texts = {name: text for name, text in PARAMETERS.items() if name in declared}
    values = parameter_values(definition.parameters, texts)
    check_supported(
        definition, parameters=values, execution=EXECUTION, images=EveryImage(),
        functions=EveryImage(),
    )  # fmt: skip


def with_first_step(**changes: object) -> dict[str, object]:
    first, *rest = SHIPPED["Steps"]
    return SHIPPED | {"Steps": [first | changes, *rest]}


@settings(bounded, max_examples=60)
@given(value=bent(SHIPPED))
@example(value=with_first_step(DependsOn=1))
@example(value=with_first_step(CacheConfig={"Enabled": True, "ExpireAfter": {}}))
@example(value=with_first_step(CacheConfig={"Enabled": True, "ExpireAfter": "P999999999Y"}))
@example(value=with_first_step(Arguments={"Environment": {"A": {"Std:Join": {"Values": 1}}}}))
@example(value=SHIPPED | {"Parameters": 1})
@example(value=SHIPPED | {"Version": [SHIPPED, SHIPPED]})
@example(
    value=SHIPPED | {"Parameters": [SHIPPED["Parameters"][0] | {"DefaultValue": 2 * [SHIPPED]}]}
)
@example(value=[])
def test_a_bent_definition(value) -> None:
    for read in (prepare, check_definition):
        try:
            read(value)
        except InputError as error:
            assert 0 < len(str(error)) < 100_000
