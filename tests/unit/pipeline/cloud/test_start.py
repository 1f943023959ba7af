"""Before an execution starts: all that is missing is reported at once; then it starts once."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.names import bucket_name
from sashiko.contract.load import load_contract
from sashiko.contract.model import ExistingTable
from sashiko.errors import InputError
from sashiko.pipeline.cloud import start as module
from sashiko.pipeline.cloud.start import start
from sashiko.pipeline.compiled import CompiledPipeline
from sashiko.pipeline.staging import staged_inputs
from sashiko.settings.recipe import load_recipe
from sashiko.steps.sections import Channel
from tests.unit.account.fake_account import SETTINGS, Refusal, ScriptedAws

AS_OF = "20261125T104500Z"
RECIPE = load_recipe(Path("recipes/complaints.yaml"))
CHANNELS = tuple(
    Channel(uri=f"s3://{bucket_name(SETTINGS, 'artifacts')}/{folder}/{16 * '0'}", files=files)
    for folder, files in {"config": {"text.json": b"{}"}, "code": {"text.py": b""}}.items()
)
STAGED = staged_inputs(SETTINGS, RECIPE, CHANNELS)
REGISTRY = f"{SETTINGS.account}.dkr.ecr.{SETTINGS.region}.amazonaws.com"
IMAGES = (f"{REGISTRY}/sashiko-dev/job:0.1.0-abc", f"{REGISTRY}/sashiko-dev/train:0.1.0-abc")
OF_AWS = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference-neuronx:2.9"
ARN = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/sashiko-dev-complaints/execution/abc"


def compiled() -> dict[str, Any]:
    config, code = ({"S3Uri": channel.uri} for channel in CHANNELS)
    return {
        "Parameters": [
            {"Name": "AsOf", "Type": "String"},
            {"Name": "RunManifestUri", "Type": "String", "DefaultValue": STAGED.run_manifest.uri},
            {"Name": "DefinitionSha256", "Type": "String", "DefaultValue": 64 * "a"},
        ],
        "Steps": [
            {"Name": "Make", "Image": IMAGES[0], "Inputs": [config], "Key": "DeployTime-Key-ml"},
            {"Name": "Train", "Image": IMAGES[1], "Model": STAGED.weights_uri},
            {"Name": "Compile", "Image": OF_AWS, "Code": code},
        ],
    }


def deployed() -> dict[str, Any]:
    text = json.dumps(compiled()).replace("DeployTime-Key-ml", "arn:aws:kms:us-east-1:1:key/2")
    return json.loads(text)


class Cloud:
    """An account in which everything is there, until a test takes something away."""

    def __init__(self) -> None:
        self.objects = {
            f"{channel.uri}/{name}": len(content)
            for channel in STAGED.channels
            for name, content in channel.files.items()
        } | {f"{STAGED.weights_uri}/{name}": 1 for name in RECIPE.model.files}
        self.images = set(IMAGES)
        self.definition: Any = deployed()
        self.loads = [self.load(AS_OF, hour=2), self.load("20250101T000000Z", hour=1)]
        self.aws = ScriptedAws({
            "DescribePipeline": lambda _: {"PipelineDefinition": json.dumps(self.definition)},
            "ListObjectsV2": self._list, "DescribeImages": self._image,
            "GetJobRuns": lambda _: {"JobRuns": self.loads},
            "StartPipelineExecution": {"PipelineExecutionArn": ARN},
        })  # fmt: skip

    @staticmethod
    def load(as_of: str, *, hour: int, state: str = "SUCCEEDED") -> dict[str, Any]:
        started = datetime(2026, 11, 25, hour, tzinfo=UTC)
        return {"JobRunState": state, "Arguments": {"--as-of": as_of}, "StartedOn": started}

    def _list(self, request: Mapping[str, Any]) -> Any:
        start_ = f"s3://{request['Bucket']}/"
        sizes = {uri.removeprefix(start_): size for uri, size in self.objects.items()}
        return {
            "Contents": [
                {"Key": key, "Size": size}
                for key, size in sizes.items()
                if key.startswith(request["Prefix"])
            ]
        }

    def _image(self, request: Mapping[str, Any]) -> Any:
        uri = f"{REGISTRY}/{request['repositoryName']}:{request['imageIds'][0]['imageTag']}"
        return {"imageDetails": [{}]} if uri in self.images else Refusal("ImageNotFoundException")

    def start(self, as_of: str | None = None) -> Any:
        return start(
            SETTINGS, RECIPE, account=self.aws.account(), home=Path("unused"), as_of=as_of,
            command="sashiko run --env dev",
        )  # fmt: skip


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    pipeline = CompiledPipeline(definition=json.dumps(compiled()), channels=CHANNELS)
    monkeypatch.setattr(module, "compile_pipeline", lambda *_, **__: pipeline)
    return Cloud()


def test_it_starts_with_the_data_that_were_loaded_last_and_checks_its_own_images(
    cloud: Cloud,
) -> None:
    cloud.loads += [cloud.load("20270101T000000Z", hour=3, state="FAILED")]
    assert cloud.start().arn == ARN
    (request,) = cloud.aws.requests("StartPipelineExecution")
    assert request["PipelineName"] == "sashiko-dev-complaints"
    assert request["PipelineParameters"] == [{"Name": "AsOf", "Value": AS_OF}]
    assert request["PipelineExecutionDisplayName"] == f"as-of-{AS_OF}"
    (job_runs_request,) = cloud.aws.requests("GetJobRuns")
    assert job_runs_request["JobName"] == "sashiko-dev-etl-complaints"
    names = {item["repositoryName"] for item in cloud.aws.requests("DescribeImages")}
    assert names == {"sashiko-dev/job", "sashiko-dev/train"}


def test_a_named_version_is_taken_and_what_aws_refuses_is_reported(cloud: Cloud) -> None:
    cloud.start("20250101T000000Z")
    (request,) = cloud.aws.requests("StartPipelineExecution")
    assert request["PipelineParameters"][0]["Value"] == "20250101T000000Z"
    cloud.aws.answers["ListObjectsV2"] = Refusal("AccessDenied")
    with pytest.raises(InputError, match="use the role sashiko-dev-data-scientist"):
        cloud.start()
    cloud.aws.answers["DescribePipeline"] = Refusal("ResourceNotFound")
    with pytest.raises(InputError, match="no pipeline sashiko-dev-complaints in dev: make deploy"):
        cloud.start()


def test_of_another_owners_table_the_newest_snapshot_is_pinned(cloud: Cloud, monkeypatch: Any):
    contract = load_contract(Path(RECIPE.contract))
    lake = ExistingTable(database="sales", table="claims")
    other = contract.model_copy(update={"lake": lake})
    monkeypatch.setattr(module, "load_contract", lambda _: other)
    rows = [{"Data": [{"VarCharValue": text}]} for text in ("snapshot_id", "42")]
    cloud.aws.answers |= {
        "GetTable": {"Table": {"Name": "claims", "Parameters": {"table_type": "ICEBERG"}}},
        "StartQueryExecution": {"QueryExecutionId": "11111111-2222-3333-4444-555555555555"},
        "GetQueryExecution": {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}},
        "GetQueryResults": {"ResultSet": {"Rows": rows}},
    }
    cloud.start()
    (request,) = cloud.aws.requests("StartPipelineExecution")
    assert request["PipelineParameters"] == [{"Name": "AsOf", "Value": "42"}]
    assert not cloud.aws.requests("GetJobRuns")


FIRST = sorted(RECIPE.model.files)[0]
STAGE = "sashiko env stage --env dev --recipe complaints"
NO_LOAD = "no load of the table has succeeded yet (sashiko-dev-etl-complaints)"
FAILED = Cloud.load(AS_OF, hour=1, state="FAILED")
NO_JOB = {"GetJobRuns": Refusal("EntityNotFoundException")}
OTHER = {"DefaultValue": STAGED.run_manifest.uri[:-16] + "0" * 16}
FAULTS: dict[str, tuple[Callable[[Cloud], object], str]] = {
    "weights": (
        lambda at: at.objects.pop(f"{STAGED.weights_uri}/{FIRST}"), f"lacks {FIRST}: {STAGE}",
    ),
    "configuration": (
        lambda at: at.objects.pop(f"{CHANNELS[0].uri}/text.json"), f"lacks text.json: {STAGE}",
    ),
    "code": (lambda at: at.objects.pop(f"{CHANNELS[1].uri}/text.py"), f"lacks text.py: {STAGE}"),
    "source": (
        lambda at: at.objects.pop(f"{STAGED.run_manifest.uri}/source.json"),
        f"lacks source.json: {STAGE}",
    ),
    "another commit's source": (
        lambda at: at.definition["Parameters"][1].update(OTHER),
        f"is not there: {STAGE}, in the checkout that was deployed",
    ),
    "image": (
        lambda at: at.images.discard(IMAGES[1]),
        f"the image {IMAGES[1]} is not built: make deploy ENV=dev",
    ),
    "definition": (
        lambda at: at.definition["Parameters"][2].update(DefaultValue=64 * "b"),
        "is not that of this checkout: make deploy ENV=dev",
    ),
    "load": (lambda at: setattr(at, "loads", [FAILED]), NO_LOAD),
    "etl job": (lambda at: at.aws.answers.update(NO_JOB), NO_LOAD),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_nothing_starts_while_something_is_missing(cloud: Cloud, fault: Any, message: str) -> None:
    fault(cloud)
    with pytest.raises(InputError) as error:
        cloud.start()
    assert str(error.value).startswith("pipeline sashiko-dev-complaints cannot start:\n  - ")
    assert message in str(error.value)
    assert str(error.value).count("\n  - ") == 1
    assert cloud.aws.requests("StartPipelineExecution") == []


def test_all_that_is_missing_is_reported_at_once(cloud: Cloud) -> None:
    for name in ("weights", "code", "image", "definition", "load"):
        FAULTS[name][0](cloud)
    with pytest.raises(InputError) as error:
        cloud.start()
    for message in ("lacks text.py", "is not built", "of this checkout", "no load of the table"):
        assert message in str(error.value)
    assert str(error.value).count("\n  - ") == 5
