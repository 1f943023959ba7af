"""`sashiko env stage` and `run` of a deployed environment, by the command, against the emulator."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from sashiko.account.names import alerts_topic_arn, bucket_name, etl_name
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.registry.versions import MONITORING_TAGS
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.checks import KINDS
from sashiko_packs.monitoring.result import MonitorResult
from tests.infra.sample_events import execution_ended, scheduled
from tests.infra.step_functions import Answer, account
from tests.infra.variants import deployment_of, new_app, settings_of, write_config
from tests.packs.monitoring.report.windows import windows
from tests.project_root import IMAGES
from verification.deploy.assembly import bootstrap, written
from verification.deploy.process import REGION, ROOT, Emulator, running
from verification.deploy.stacks import ACCOUNT


def execute(
    emulator: Emulator, machine: str, event: Mapping[str, Any], answers: Mapping[str, Answer]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Executes a machine of the emulator, which only keeps it; returns operation and arguments.

    The calls do not reach the emulator: a test makes those again that are to change it.
    """
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
    machines = emulator.client("stepfunctions")
    definition = machines.describe_state_machine(stateMachineArn=arn)["definition"]
    with account() as fake:
        fake.answers.update(answers)
        outcome = fake.run(json.loads(definition), event)
    assert outcome.status == "SUCCEEDED", outcome
    return fake.calls


AS_OF = "20261125T104500Z"
LOADED = {
    "JobRunState": "SUCCEEDED",
    "Arguments": {"--as-of": AS_OF},
    "CompletedOn": "2026-11-22T00:00:00Z",
}
WEIGHTS = {"config.json": b"{}", "model.safetensors": b"tiny"}
# A commit during the tests would differ from the deployed one.
NO_GIT = {"GIT_DIR": "nowhere"}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "layers": [],
}
SETTINGS = settings_of("serving")
ARTIFACTS = bucket_name(SETTINGS, "artifacts")
GROUP = "sashiko-dev-complaint-triage"


@dataclass(frozen=True)
class Checkout:
    """A repository whose recipe has tiny weights, and the emulator that it was deployed to."""

    emulator: Emulator
    folder: Path

    def sashiko(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [str(Path(sys.executable).with_name("sashiko")), *arguments, "--env", "dev"],
            cwd=self.folder,
            env=self.emulator.environment() | NO_GIT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == status, process.stderr
        return process

    @property
    def recipe(self) -> Path:
        return self.folder / "recipes/complaints.yaml"

    def load(self, table: str = "complaints") -> None:
        """Runs the Glue job, which in the emulator does nothing and succeeds."""
        glue, job = self.emulator.client("glue"), etl_name(SETTINGS, table)
        glue.start_job_run(JobName=job, Arguments={"--as-of": AS_OF})
        while glue.get_job_runs(JobName=job)["JobRuns"][0]["JobRunState"] != "SUCCEEDED":
            pass

    def build_images(self, refused: str) -> None:
        """Puts each image in its repository that a refused run did not find."""
        ecr = self.emulator.client("ecr")
        for image in re.findall(r"the image (\S+) is not built", refused):
            name, _, tag = image.partition("/")[2].partition(":")
            manifest = MANIFEST | {"config": {"digest": f"sha256:{sha256_bytes(image.encode())}"}}
            ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=json.dumps(manifest))


def write_checkout(folder: Path, variant: str) -> None:
    """Writes a repository of a variant into a folder, whose recipes have tiny weights."""
    (folder / "config").mkdir()
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    write_config(folder / "config", variant)
    for name in ("contracts", "pipelines", *IMAGES):
        (folder / name).symlink_to(ROOT / name)
    files = {name: sha256_bytes(content) for name, content in WEIGHTS.items()}
    for recipe in (folder / "recipes").rglob("*.yaml"):
        document = yaml.safe_load(recipe.read_text())
        if "model" in document:  # the others extend one
            document["model"]["files"] = files
            recipe.write_text(yaml.safe_dump(document, sort_keys=False))
    place = sha256_bytes(canonical_json(files))[:16]
    weights = folder / ".sashiko/cache/weights" / place
    weights.mkdir(parents=True)
    for name, content in WEIGHTS.items():
        (weights / name).write_bytes(content)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    from infra.app import add_stacks

    folder = tmp_path_factory.mktemp("checkout")
    write_checkout(folder, "serving")
    file = folder / "recipes/complaints.yaml"
    app = new_app()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_DIR", NO_GIT["GIT_DIR"])
        deployment = deployment_of(SETTINGS, recipes=(load_recipe(file),))
    add_stacks(app, deployment)
    written(app, folder)
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator:
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "serving")
        # With all that it needs. The preflight of Serving would refuse a version that is none.
        emulator.cdk("deploy", "Pipeline", "--require-approval=never", folder=folder)
        yield Checkout(emulator, folder)


@pytest.mark.slow
def test_from_a_deploy_to_an_execution(checkout: Checkout) -> None:
    refused = checkout.sashiko("run", status=1).stderr
    assert "pipeline sashiko-dev-complaints cannot start:" in refused
    for place in ("config", "source", "weights"):  # the code of `cpu` lies in the configuration
        assert re.search(rf"s3://{ARTIFACTS}/{place}/[0-9a-f]{{16}} lacks ", refused)
    assert "no load of the table has succeeded yet" in refused
    assert "is not that of this checkout" not in refused

    staged = json.loads(checkout.sashiko("env", "stage", "--seed-data", AS_OF, "--json").stdout)
    s3 = checkout.emulator.client("s3")
    raw = bucket_name(SETTINGS, "raw")
    objects = s3.list_objects_v2(Bucket=raw, Prefix=f"complaints/as_of={AS_OF}/")["Contents"]
    names = [item["Key"].rpartition("/")[2] for item in objects]
    assert names[0] == "_SUCCESS"
    assert [name.rpartition(".")[2] for name in names[1:]] == ["parquet"]
    stores = bucket_name(SETTINGS, "snapshots")
    for store in (f"monitor/{GROUP}/ledger", f"monitor/{GROUP}/labels", f"monitor/{GROUP}/draws"):
        (item,) = s3.list_objects_v2(Bucket=stores, Prefix=f"{store}/")["Contents"]
        assert item["Key"].endswith(".parquet")
    staged_again = json.loads(
        checkout.sashiko("env", "stage", "--seed-data", AS_OF, "--json").stdout
    )
    assert [place["uri"] for place in staged_again] == [place["uri"] for place in staged]
    assert [place for place in staged_again if place["uploaded"]] == []

    checkout.build_images(refused)
    checkout.load()
    run = checkout.sashiko("run")
    assert run.stdout.startswith("registered: execution ")
    (entry,) = json.loads(checkout.sashiko("runs", "list", "--json").stdout)
    assert entry["parameters"]["AsOf"] == AS_OF
    assert entry["id"] in run.stdout
    execution = json.loads(checkout.sashiko("runs", "show", entry["id"][:6], "--json").stdout)
    assert {"Snapshot", "Train", "Register"} <= {step["name"] for step in execution["steps"]}
    _run_from_a_step(checkout, first=entry["id"])

    objects = s3.list_objects_v2(Bucket=ARTIFACTS, Prefix="weights/")["Contents"]
    (key,) = (item["Key"] for item in objects if item["Key"].endswith("model.safetensors"))
    s3.delete_object(Bucket=ARTIFACTS, Key=key)
    refused = checkout.sashiko("run", status=1).stderr
    assert "lacks model.safetensors: sashiko env stage --env dev --recipe complaints" in refused
    checkout.sashiko("env", "stage")

    document = yaml.safe_load(checkout.recipe.read_text())
    document["train"] = {"epochs": 7}
    checkout.recipe.write_text(yaml.safe_dump(document))
    refused = checkout.sashiko("run", status=1).stderr
    assert "the deployed pipeline is not that of this checkout" in refused
    assert refused.count("\n  - ") == 1
    assert len(json.loads(checkout.sashiko("runs", "list", "--json").stdout)) == 3


def _run_from_a_step(checkout: Checkout, *, first: str) -> None:
    """An execution from a step on, on results of the one before; none past a gate that closed."""
    run = checkout.sashiko("run", "--from", "Evaluate")
    assert "Evaluate is a part of Compile-Score-Evaluate, which starts again from" in run.stderr
    newest, _ = json.loads(checkout.sashiko("runs", "list", "--json").stdout)
    assert run.stdout.startswith(f"registered: execution {newest['id']} ")
    assert (newest["source"], newest["parameters"]["AsOf"]) == (first, AS_OF)
    states = {step["name"]: (step["status"], step["cached_from"]) for step in newest["steps"]}
    assert states["Train"] == states["Snapshot"] == ("cached", first)
    assert states["ResolveChampion"] == states["Compile-Score-Evaluate"] == ("succeeded", "")
    shown = checkout.sashiko("runs", "show").stdout
    assert f"reuses results of execution {first}\n" in shown

    sagemaker = checkout.emulator.client("sagemaker")
    closed = GateClosedError(["bias: DI 0.61 below 0.8"])
    pipeline = {
        "PipelineName": "sashiko-dev-complaints",
        "PipelineParameters": [{"Name": "AsOf", "Value": AS_OF}],
    }
    blocked = sagemaker.start_pipeline_execution(
        **pipeline, PipelineExecutionDescription=f"emulator: ModelGate fails: {closed}"
    )["PipelineExecutionArn"]
    refused = checkout.sashiko("run", "--from", "Register", status=1).stderr
    assert f"execution {blocked.rpartition('/')[2]} cannot be the source: " in refused
    assert "step ModelGate is blocked: bias: DI 0.61 below 0.8; start from there" in refused
    for source, steps, message in (
        (blocked, ["Register"], "DeviceGate .* has no result"),
        (blocked, ["Snapshot", "Prepare", "Train"], "lie between selected steps"),
        (blocked, ["Track", "Register"], "not connected"),
        (None, ["Register"], "Invalid SourcePipelineExecutionArn: null"),
    ):
        config: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in steps]}
        config |= {"SourcePipelineExecutionArn": source} if source else {}
        with pytest.raises(ClientError, match=message):
            sagemaker.start_pipeline_execution(**pipeline, SelectiveExecutionConfig=config)


@pytest.mark.slow
def test_from_the_schedule_to_the_metrics_of_a_window(checkout: Checkout) -> None:
    """The deployed rule, machines, pipeline and alarms of monitoring fit each other."""
    emulator, machine = checkout.emulator, "sashiko-dev-monitor-complaints"
    events, sagemaker = emulator.client("events"), emulator.client("sagemaker")
    weekly = "sashiko-dev-complaints-monitor-weekly"
    assert events.describe_rule(Name=weekly)["ScheduleExpression"] == "cron(0 6 ? * MON *)"
    (target,) = events.list_targets_by_rule(Rule=weekly)["Targets"]
    assert target["Arn"].endswith(f":stateMachine:{machine}")

    metadata = {name: f"s3://{ARTIFACTS}/runs/x/{name}" for name in MONITORING_TAGS}
    calls = execute(
        emulator,
        machine,
        scheduled("2026-11-23T06:00:00Z", rule=weekly),
        {
            "DescribeModelPackage": lambda _: {"CustomerMetadataProperties": metadata},
            "ListObjectsV2": lambda _: {"KeyCount": 1},
            "GetJobRuns": lambda _: {"JobRuns": [LOADED]},
            "StartPipelineExecution": lambda _: {},
        },
    )
    (request,) = [arguments for operation, arguments in calls if operation.startswith("Start")]
    started = sagemaker.start_pipeline_execution(**request)["PipelineExecutionArn"]
    parameters = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=started)
    pipeline = sagemaker.describe_pipeline(PipelineName=request["PipelineName"])
    declared = json.loads(pipeline["PipelineDefinition"])["Parameters"]
    given = {item["Name"]: item["Value"] for item in parameters["PipelineParameters"]}
    assert set(given) == {item["Name"] for item in declared if "DefaultValue" not in item}
    assert given["AsOf"] == AS_OF

    *_, result = windows(14, shifted=10, deploy=5)
    calls = execute(
        emulator,
        f"{machine}-outcome",
        execution_ended("Succeeded", pipeline=request["PipelineName"]),
        {
            "ListPipelineParametersForExecution": lambda _: {
                "PipelineParameters": parameters["PipelineParameters"]
            },
            "GetObject": lambda _: {"Body": result.model_dump_json()},
            "PutMetricData": lambda _: {},
            "Publish": lambda _: {},
        },
    )
    (mail,) = [arguments for operation, arguments in calls if operation == "Publish"]
    assert mail["TopicArn"] == alerts_topic_arn(SETTINGS)
    assert mail["Subject"].startswith("sashiko-dev: complaints, alarm of ")
    emulator.client("sns").publish(**mail)
    read = next(arguments for operation, arguments in calls if operation == "GetObject")
    version, start, end = (given[name] for name in ("ModelVersion", "WindowStart", "WindowEnd"))
    assert read["Key"] == f"monitor/{GROUP}/windows/{version}/{start}/{end}/monitor.json"
    cloudwatch = emulator.client("cloudwatch")
    put, by_check = [arguments for operation, arguments in calls if operation == "PutMetricData"]
    for arguments in (put, by_check):
        cloudwatch.put_metric_data(**arguments)
    listed = cloudwatch.list_metrics(Namespace=put["Namespace"])["Metrics"]
    metrics = {(item["MetricName"], json.dumps(item["Dimensions"])) for item in listed}
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix="sashiko-dev-monitor-")["MetricAlarms"]
    assert {item["AlarmName"].rpartition("monitor-")[2] for item in alarms} == {
        *KINDS,
        *(f"{kind}-not-judged" for kind in KINDS if kind != "capture"),
        "captured-rows",
        "did-not-run",
    }
    for alarm in alarms:
        assert (alarm["MetricName"], json.dumps(alarm["Dimensions"])) in metrics
        assert alarm["Namespace"] == put["Namespace"]
        # CloudWatch refuses to look back further (`Period` of PutMetricAlarm).
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 604_800

    shown = json.loads(_show_outcome(checkout, result).stdout)
    assert shown["outcome"] == "alarm"
    # The approved version is of the execution that the test above has started: none came after.
    assert shown["retraining"]["reasons"][0] == "alarm: drift of product"
    page = checkout.folder / f".sashiko/monitor/dev-{GROUP}.html"
    assert f"{GROUP}, version 1" in page.read_text()

    deleted = checkout.sashiko("monitor", "forget", "nobody", "--recipe", "complaints").stdout
    assert deleted.startswith("deleted of 1 keys: 0 answers, 0 labels, 0 names in draws")


def _show_outcome(checkout: Checkout, result: MonitorResult) -> subprocess.CompletedProcess[str]:
    """Shows the outcome of a version's window, of which there was none before."""
    refused = checkout.sashiko("monitor", status=1).stderr
    assert "no window of complaints was judged in dev yet" in refused
    refused = checkout.sashiko("monitor", "--now", "2026-11-23", status=1).stderr
    assert "--now: an account's windows are started by its schedule" in refused
    sagemaker, s3 = (checkout.emulator.client(name) for name in ("sagemaker", "s3"))
    pages = sagemaker.list_pipeline_executions(PipelineName="sashiko-dev-complaints")
    execution, *_ = pages["PipelineExecutionSummaries"]
    metadata = {
        "execution_id": execution["PipelineExecutionArn"].rpartition("/")[2],
        "artifact_sha256": "a" * 64,
        "threshold": "0.5",
    }
    sagemaker.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties=metadata,
    )
    outcome = result.model_copy(update={"group": GROUP, "version": 1, "recipe": SETTINGS.recipe})
    s3.put_object(
        Bucket=ARTIFACTS,
        Key=f"monitor/{GROUP}/windows/1/a/b/monitor.json",
        Body=outcome.model_dump_json(),
    )
    return checkout.sashiko("monitor", "--json", status=4)
