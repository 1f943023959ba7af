"""The life of an endpoint by the stock command line: approve, serve, update, roll back, destroy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sashiko.aws.operations.access.environment import read_environment
from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.operations.audit.serving import serving
from sashiko.aws.resources.account import Account
from sashiko.cli import app
from verification.deploy import aws_command, served
from verification.deploy.assembly import bootstrap
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.parts import ACCOUNT
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import Stacks

NAME = "sashiko-dev-complaint-triage"
STACK = "sashiko-dev-Serving"
NOT_ASKED = "--require-approval=never"
TARGET = f"endpoint/{NAME}/variant/primary"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account with the stacks that serving depends on."""
    with (
        running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "iam_only")
        none = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{NAME}/1"
        folder = served.synthesize(tmp_path_factory.mktemp("before"), none)
        emulator.cdk("deploy", *served.BEFORE, "--exclusively", NOT_ASKED, folder=folder)
        yield emulator


@pytest.fixture(scope="module")
def versions(account: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Versions by their fault: name -> ARN."""
    new = tmp_path_factory.mktemp("versions")
    pending = "PendingManualApproval"
    wrong: dict[str, dict[str, Any]] = {
        "first": {},
        "second": {},
        "unapproved": {"status": pending},
        "another image": {"lock": served.lock(image="huggingface-pytorch-inference-neuronx:1")},
        "too many cores": {"lock": served.lock(cores=2)},
        "compiled for a CPU": {"lock": served.lock(target="cpu", cores=None)},
        "tampered": {},
        "failed gate": {"failed": "bias"},
    }
    arns = {
        name: served.register(account, new / name, execution=name, **evidence)
        for name, evidence in wrong.items()
    }
    served.tamper(account, arns["tampered"])
    return arns


@pytest.fixture(scope="module")
def before(account: Emulator, versions: dict[str, str]) -> dict[str, list[str]]:
    """The account's inventory before anything is served."""
    return inventory(account)


REFUSED = {
    "unapproved": "is PendingManualApproval, not Approved",
    "another image": "its image is huggingface-pytorch-inference-neuronx:1, the endpoint's hugg",
    "too many cores": "2 processes of it take 4 cores, ml.inf2.xlarge has 2",
    "compiled for a CPU": "compile.target is cpu, the endpoint's inf2 on ml.inf2.xlarge",
    "tampered": "model.tar.gz is not the file that was signed",
    "failed gate": "the gate bias did not pass",
}


@pytest.mark.parametrize("version", ["first", *REFUSED])
def test_the_preflight_says_before_a_deploy_what_the_deploy_would(
    versions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    served.write_repository(tmp_path, versions[version])
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["preflight", "--env", "dev"])

    if version in REFUSED:
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.startswith("refused: ")
        assert REFUSED[version] in result.stderr
    else:
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"{versions[version]} may be served: " in result.stdout
        assert result.stdout.endswith("signed files hold, threshold 0.43\n")


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_bare_deploy_of_a_wrong_version_is_refused_and_nothing_is_made(
    account: Emulator,
    versions: dict[str, str],
    before: dict[str, list[str]],
    tmp_path: Path,
    wrong: str,
) -> None:
    folder = served.synthesize(tmp_path, versions[wrong])

    output = account.cdk("deploy", "Serving", "--exclusively", NOT_ASKED, folder=folder, status=1)

    assert "preflight refused: " in output
    assert REFUSED[wrong] in output
    assert inventory(account) == before


def test_life(
    account: Emulator, versions: dict[str, str], before: Any, tmp_path_factory: Any
) -> None:
    """In order: serve, inspect, update a scaled endpoint, roll back, audit, destroy."""
    new = tmp_path_factory.mktemp
    first = served.synthesize(new("first"), versions["first"])
    deploy(account, first)
    check_endpoint(account, versions["first"])
    check_scaling_and_alarms(account)
    names = hosting_names(account)
    assert audit(first) == []
    check_janitor(account, versions["first"])
    assert hosting_names(account) == names

    scale_out(account, 3)
    second = served.synthesize(new("second"), versions["second"], invocations_per_instance=100)
    deploy(account, second)
    assert served_arn(account) == versions["second"]
    assert set(hosting_names(account)) & set(names) == {
        NAME
    }  # model and configuration are new ones
    assert count(account) == 3  # the count set by scaling, not the configuration's 1
    assert audit(second) == []

    check_refusal_leaves_it_alone(account, versions, new("bad"))
    check_audit(account, second, names)

    # Rolling back deploys the older ARN, which gives the same names as before.
    deploy(account, served.synthesize(new("back"), versions["first"]))
    assert hosting_names(account) == names
    assert served_arn(account) == versions["first"]
    check_another_machine(account, versions["first"], new)

    account.cdk("destroy", "Serving", "--exclusively", "--force", folder=first)
    assert inventory(account) == before


def deploy(account: Emulator, folder: Path) -> None:
    """Each resource then matches its template."""
    account.cdk("deploy", "Serving", "--exclusively", NOT_ASKED, folder=folder)
    own_resources = [item for item in deployed(account) if item.stack == STACK]
    assert len(own_resources) > 10
    assert [text for item in own_resources for text in item.differences()] == []
    output = account.cdk("diff", "Serving", "--exclusively", "--fail", folder=folder)
    assert "differences: 0" in output


def audit(folder: Path) -> list[Difference]:
    settings = served.serving_settings()
    environment = read_environment(settings, folder=folder / "cdk.out")
    return list(serving(Account(settings), environment))


def endpoint(account: Emulator) -> Any:
    return account.client("sagemaker").describe_endpoint(EndpointName=NAME)


def config(account: Emulator) -> Any:
    name = endpoint(account)["EndpointConfigName"]
    return account.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)


def model(account: Emulator) -> Any:
    (variant,) = config(account)["ProductionVariants"]
    return account.client("sagemaker").describe_model(ModelName=variant["ModelName"])


def served_arn(account: Emulator) -> str:
    return str(model(account)["PrimaryContainer"]["ModelPackageName"])


def hosting_names(account: Emulator) -> list[str]:
    """Names of all that SageMaker hosts."""
    names_by_operation = inventory(account)
    kinds = ("list_models", "list_endpoint_configs", "list_endpoints")
    return [name for kind in kinds for name in names_by_operation[kind]]


def count(account: Emulator) -> int:
    return int(endpoint(account)["ProductionVariants"][0]["DesiredInstanceCount"])


def scale_out(account: Emulator, instances: int) -> None:
    account.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=NAME,
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": instances}],
    )


def check_endpoint(account: Emulator, arn: str) -> None:
    """The configuration is the settings', the container the signed version's."""
    (variant,), hosted_model = config(account)["ProductionVariants"], model(account)
    capture = config(account)["DataCaptureConfig"]
    keys = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/sashiko-dev"

    assert endpoint(account)["EndpointStatus"] == "InService"
    assert variant["InstanceType"] == "ml.inf2.xlarge"
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-neuron-2"
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert variant["ModelDataDownloadTimeoutInSeconds"] == 600
    assert hosted_model["PrimaryContainer"] == {
        "ModelPackageName": arn,
        "Environment": {
            "SASHIKO_THRESHOLD": "0.43",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "NEURON_RT_NUM_CORES": "1",
        },
    }
    assert hosted_model["EnableNetworkIsolation"] is True
    assert hosted_model["ExecutionRoleArn"].endswith(":role/sashiko-dev-inference")
    assert len(hosted_model["VpcConfig"]["Subnets"]) == 1
    assert config(account)["KmsKeyId"] == f"{keys}-ml"
    assert capture["KmsKeyId"] == f"{keys}-capture"
    assert capture["InitialSamplingPercentage"] == 5
    bucket = f"sashiko-dev-capture-{ACCOUNT}-{REGION}"
    assert capture["DestinationS3Uri"] == f"s3://{bucket}/{NAME}/version={arn.rpartition('/')[2]}"


def check_scaling_and_alarms(account: Emulator) -> None:
    """Each is on the variant that the endpoint has."""
    (name,) = [item["VariantName"] for item in endpoint(account)["ProductionVariants"]]
    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    alarms = {
        item["AlarmName"]: item
        for item in account.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if item["AlarmName"].startswith("sashiko-dev-endpoint-")
    }
    rollback = endpoint(account)["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]

    assert f"endpoint/{NAME}/variant/{name}" == TARGET
    assert target["ResourceId"] == policy["ResourceId"] == TARGET
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600
    assert len(alarms) == 8
    taking_back = {item["AlarmName"] for item in rollback}
    of_fleet = endpoint(account)["EndpointConfigName"]
    assert taking_back == {
        f"sashiko-dev-endpoint-{metric}-{of_fleet[-12:]}" for metric in ("5xx", "p99-latency")
    }
    for item in alarms.values():
        fleet = [{"Name": "EndpointConfigName", "Value": of_fleet}]
        assert item["Dimensions"] == [
            {"Name": "EndpointName", "Value": NAME},
            {"Name": "VariantName", "Value": name},
            *(fleet if item["AlarmName"] in taking_back else []),
        ]


def check_janitor(account: Emulator, arn: str) -> None:
    """As its rule calls it: a killed check's endpoint goes when no check is that old."""
    (target,) = account.client("events").list_targets_by_rule(Rule="sashiko-dev-janitor")["Targets"]
    event = json.loads(target["Input"])
    endpoint_name = f"{event['prefix']}killed"
    sagemaker = account.client("sagemaker")
    sagemaker.create_model(ModelName=endpoint_name, PrimaryContainer={"ModelPackageName": arn})
    (variant,) = config(account)["ProductionVariants"]
    sagemaker.create_endpoint_config(
        EndpointConfigName=endpoint_name,
        ProductionVariants=[{**variant, "ModelName": endpoint_name}],
    )
    sagemaker.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=endpoint_name)

    def clean(older_than: int) -> Any:
        payload = json.dumps({**event, "older_than": older_than}).encode()
        function = target["Arn"].rpartition(":")[2]
        response = account.client("lambda").invoke(FunctionName=function, Payload=payload)
        return json.loads(response["Payload"].read())

    assert clean(event["older_than"]) == {"deleted": [], "left": {}}
    assert clean(0) == {"deleted": [endpoint_name], "left": {}}


def check_another_machine(account: Emulator, arn: str, new: Any) -> None:
    """An endpoint that scales gets another instance type in the preflight's two deploys."""
    larger = {"inf2": "ml.inf2.8xlarge"}
    assembly = served.synthesize(new("larger"), arn, instance_types=larger)
    output = account.cdk("deploy", "Serving", "--exclusively", NOT_ASKED, folder=assembly, status=1)
    assert "scales on ml.inf2.xlarge, and SageMaker cannot change the" in output

    deploy(account, served.synthesize(new("still"), arn, max_instances=1))
    assert count(account) == 3
    deploy(account, assembly)
    assert config(account)["ProductionVariants"][0]["InstanceType"] == "ml.inf2.8xlarge"
    assert audit(assembly) == []


def check_refusal_leaves_it_alone(
    account: Emulator, versions: dict[str, str], folder: Path
) -> None:
    """The stack can be deployed again: the rollback did not call the preflight."""
    names, current_arn = hosting_names(account), served_arn(account)
    invalid = served.synthesize(folder, versions["unapproved"], p99_latency_ms=1)

    output = account.cdk("deploy", "Serving", "--exclusively", NOT_ASKED, folder=invalid, status=1)

    assert "is PendingManualApproval" in output
    assert Stacks(account).status(STACK) == "UPDATE_ROLLBACK_COMPLETE"
    assert (hosting_names(account), served_arn(account)) == (names, current_arn)
    events = account.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    changed_types = {item["ResourceType"] for item in events[: _since_last_update(events)]} - {
        "AWS::CloudFormation::Stack"
    }
    assert changed_types == {"Custom::Preflight"}


def _since_last_update(events: list[Any]) -> int:
    """The number of events, newest first, of the last update."""
    for number, item in enumerate(events):
        if item["LogicalResourceId"] == STACK and item["ResourceStatus"] == "UPDATE_IN_PROGRESS":
            return number
    raise LookupError(STACK)


def check_audit(account: Emulator, folder: Path, older: list[str]) -> None:
    """The audit reports each difference made by hand, with a command that fixes it."""
    sagemaker = account.client("sagemaker")
    scaling = account.client("application-autoscaling")
    intended = endpoint(account)["EndpointConfigName"]

    # The state after SageMaker rolls an update back on an alarm: another configuration.
    more = {**config(account)["DataCaptureConfig"], "InitialSamplingPercentage": 50}
    name = {"EndpointConfigName": "sashiko-dev-other"}
    other = {**config(account), **name, "DataCaptureConfig": more}
    members = ("EndpointConfigName", "ProductionVariants", "KmsKeyId", "DataCaptureConfig")
    sagemaker.create_endpoint_config(**{key: other[key] for key in members})
    sagemaker.update_endpoint(EndpointName=NAME, EndpointConfigName="sashiko-dev-other")
    (difference,) = audit(folder)
    assert difference.resource == f"configuration of endpoint {NAME}"
    assert f"expected {intended}, found sashiko-dev-other" in difference.detail
    assert "model_package_arn" in difference.fix
    aws_command.run(account, difference.fix.partition("or: ")[2])
    assert audit(folder) == []

    # Properties that an update retains from the old configuration unless excluded.
    sagemaker.update_endpoint(EndpointName=NAME, **name)
    sagemaker.update_endpoint(
        EndpointName=NAME, EndpointConfigName=intended, RetainAllVariantProperties=True
    )
    (difference,) = audit(folder)
    assert difference.resource == f"capture of endpoint {NAME}"
    assert difference.detail == "CurrentSamplingPercentage: expected 5, found 50"
    aws_command.run(account, difference.fix)
    sagemaker.delete_endpoint_config(**name)
    assert audit(folder) == []

    scale_out(account, 9)
    (difference,) = audit(folder)
    assert (difference.resource, difference.detail) == (
        f"instances of endpoint {NAME}",
        "expected 1 to 3, found 9",
    )
    aws_command.run(account, difference.fix)
    assert audit(folder) == []

    scaling.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=TARGET,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=50,
    )
    (difference,) = audit(folder)
    assert difference.detail == "expected 1 to 3, found 1 to 50"
    aws_command.run(account, difference.fix)
    assert audit(folder) == []

    sagemaker.create_endpoint(EndpointName="sashiko-dev-mine", EndpointConfigName=intended)
    (difference,) = audit(folder)
    assert (difference.kind, difference.resource) == ("extra", "endpoint sashiko-dev-mine")
    aws_command.run(account, difference.fix)
    assert audit(folder) == []
