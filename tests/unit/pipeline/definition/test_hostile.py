"""Definitions that somebody bent: read, or refused with one message."""

import json
from pathlib import Path

from hypothesis import example, given, settings

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parameter_values, parse_definition
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko.pipeline.runner.definition_run import check_supported
from tests.unit.hostile import bent, bounded

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
        definition,
        parameters=values,
        execution=EXECUTION,
        images=EveryImage(),
        functions=EveryImage(),
    )


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
