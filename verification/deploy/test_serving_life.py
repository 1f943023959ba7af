"""The life of an endpoint by the stock command line: approve, serve, update, roll back, destroy.

Versions are registered as the pipeline does; an endpoint has its parts, its alarms, its janitor,
its audit, and a signing key that is replaced and distrusted below it.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from sashiko.account.access.environment_access import read_environment
from sashiko.account.access.live import Difference
from sashiko.account.account import Account
from sashiko.account.endpoint_spec import endpoint_spec, expected_of
from sashiko.account.names import MODELS, bucket_name, key_alias, model_package_group_name
from sashiko.base.aws_calls import Clients
from sashiko.cli import app
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.preflight.signed_files import Clients as SignedClients
from sashiko.registry.preflight.version_check import check
from sashiko.settings.environment import Settings, deployed_environments
from sashiko_packs.operations.audit import serving
from tests.infra.variants import (
    SERVING,
    contracts_of,
    new_app,
    recipes_of,
    settings_of,
    write_config,
)
from tests.project_root import IMAGES
from tests.unit.registry.preflight.registered import TAGS, write_evidence
from verification.deploy import aws_command
from verification.deploy.assembly import bootstrap
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, ROOT, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks

NAME = "sashiko-dev-complaint-triage"
TARGET = f"endpoint/{NAME}/variant/primary"


def audit(folder: Path) -> list[Difference]:
    """Returns what `sashiko env drift` finds of serving."""
    settings = serving_settings()
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
    names_by_operation = inventory(account)
    kinds = ("list_models", "list_endpoint_configs", "list_endpoints")
    return [name for kind in kinds for name in names_by_operation[kind]]


def count(account: Emulator) -> int:
    return int(endpoint(account)["ProductionVariants"][0]["DesiredInstanceCount"])


def scale_out(account: Emulator, instances: int) -> None:
    """Changes its number of instances, as scaling does."""
    account.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=NAME,
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": instances}],
    )


COMPILED = "inf2"
BEFORE = ("Identity", "Network", "DataLake", "Platform")


def serving_settings(*, signing_keys: tuple[int, ...] = (1,), **serving: Any) -> Settings:
    """Dev without Lake Formation, which serving does not use, and with one more instance."""
    settings = settings_of("iam_only")
    merged = {**settings.serving.model_dump(), "max_instances": 3, **serving}
    changed = type(settings.serving).model_construct(
        **{**merged, "instance_types": settings.serving.instance_types,
           "capture": settings.serving.capture, "asynchronous": settings.serving.asynchronous,
           **serving}
    )  # fmt: skip
    return settings.model_copy(update={"serving": changed, "signing_keys": signing_keys})


def write_repository(root: Path, arn: str) -> None:
    """Writes the command's inputs: dev's settings, which serve a version, and its recipe."""
    (root / "config").mkdir()
    write_config(root / "config", "iam_only")
    with (root / "config/dev.yaml").open("a") as file:
        file.write(f"recipe: complaints-{COMPILED}\n{SERVING.format(arn=arn, least=1)}")
    for name in ("recipes", "contracts", *IMAGES):
        (root / name).symlink_to(ROOT / name)


def recipe() -> Any:
    (shipped,) = recipes_of(settings_of("iam_only"))
    compiled = shipped.compile.model_copy(update={"target": COMPILED})
    return shipped.model_copy(update={"compile": compiled})


def synthesize(folder: Path, arn: str, **serving: Any) -> Path:
    """Writes the Serving stack of a version, and the stacks that it depends on."""
    from infra.stacks.data_lake import DataLake
    from infra.stacks.identity import Identity
    from infra.stacks.network import Network
    from infra.stacks.platform import Platform
    from infra.stacks.serving import Serving
    from sashiko_cdk.deployment import Deployment

    settings = serving_settings(enabled=True, model_package_arn=arn, **serving)
    app = new_app()
    deployment = Deployment(
        settings=settings,
        environments=deployed_environments(),
        contracts=contracts_of(settings),
        recipes=(recipe(),),
        pipelines=(),
    )
    identity, network, lake, platform = (
        kind(app, deployment) for kind in (Identity, Network, DataLake, Platform)
    )
    serving_stack = Serving(
        app, deployment, recipe=recipe(), package_arn=arn, network=network.jobs, lake=lake
    )
    stacks = (identity, network, lake, platform, serving_stack)
    for before, after in pairwise(stacks):
        after.add_stack_dependency(before)
    shutil.copytree(app.synth().directory, folder / "cdk.out")
    shutil.copy(ROOT / "cdk.json", folder)
    return folder


def lock(target: str = COMPILED, **change: Any) -> Mapping[str, Any]:
    """The compile lock that fits the endpoint, with a change."""
    image = endpoint_spec(serving_settings(), target).image.reference
    cores = 1 if target == COMPILED else None
    return {"target": target, "image": image, "cores": cores, **change}


def register(
    account: Emulator,
    folder: Path,
    *,
    execution: str,
    status: str = "Approved",
    target: str = COMPILED,
    **evidence: Any,
) -> str:
    """Registers a version by the project's own registrar and decides on it; returns its ARN."""
    settings = serving_settings()
    clients = Clients(**{name: account.client(name) for name in ("sagemaker", "s3", "kms")})
    placement = Placement(
        models_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MODELS}",
        signing_key=key_alias(settings, "signing"),
        serving_image=endpoint_spec(settings, target).image.uri,
        made_from="s3://snapshots/training",
    )
    folder.mkdir()
    inputs = {"lock": lock(target), "artifact": execution.encode(), **evidence}
    version, new = PackageRegistrar(clients, placement).register(
        model_package_group_name(settings, recipe().model_package_group),
        files=write_evidence(folder, **inputs),
        run_id=None,
        threshold=0.43,
        tags={**TAGS, "execution_id": execution},
    )
    assert new
    clients.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus=status)
    return str(version.arn)


def tamper(account: Emulator, arn: str) -> None:
    """Overwrites a version's artifact, as if the bucket's policy were bypassed."""
    package = account.client("sagemaker").describe_model_package(ModelPackageName=arn)
    url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=b"other weights")


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


def check_audit(account: Emulator, folder: Path) -> None:
    """The audit reports what an alarm has taken back, with a command that fixes it."""
    sagemaker = account.client("sagemaker")
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
    sagemaker.delete_endpoint_config(**name)


ALIAS = key_alias(serving_settings(), "signing")
STACKS = ("Platform", "Serving", "--exclusively", "--require-approval=never")


def check_signing_life(account: Emulator, first: str, new: Callable[[str], Path]) -> None:
    """Nothing that is deployed is replaced, and the endpoint serves from beginning to end.

    The first key has signed the version `first`; `new` makes an empty folder.
    """
    key = key_of(account, ALIAS)
    account.cdk("deploy", *STACKS, folder=synthesize(new("one-key"), first))
    replaced, names = Stacks(account).replacements(), hosting_names(account)

    # Replaced: what the first key has signed is served as before, and it signs nothing more.
    both = {"signing_keys": (1, 2)}
    account.cdk("deploy", *STACKS, folder=synthesize(new("two-keys"), first, **both))
    assert key_of(account, f"{ALIAS}-1") == key != key_of(account, ALIAS)
    assert Stacks(account).replacements() == replaced
    check_serves(account, first, names)
    assert signer_of(account, first, **both) == key
    with pytest.raises(ClientError, match="AccessDenied"):
        account.client("kms").sign(
            KeyId=key, Message=bytes(32), MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
        )
    second = register(account, new("second") / "files", execution="by the second key")
    assert signer_of(account, second, **both) == key_of(account, ALIAS)

    # Distrusted: its version is refused, which changes nothing, and the other one is served.
    only_second = {"signing_keys": (2,)}
    folder = synthesize(new("distrusted"), first, **only_second)
    output = account.cdk("deploy", *STACKS, folder=folder, status=1)
    assert f"preflight refused: {first}: " in output
    assert f"has no valid signature of {ALIAS}; it says that it is of {key}." in output
    assert "`sashiko run`" in output
    check_serves(account, first, names)
    account.cdk("deploy", *STACKS, folder=synthesize(new("next"), second, **only_second))
    assert served_arn(account) == second
    assert key_of(account, f"{ALIAS}-1") == key  # kept, to be read


def key_of(account: Emulator, alias: str) -> str:
    """Returns the ARN of the key that an alias names."""
    metadata = account.client("kms").describe_key(KeyId=alias)["KeyMetadata"]
    assert metadata["KeyState"] == "Enabled"
    return str(metadata["Arn"])


def signer_of(account: Emulator, arn: str, **change: Any) -> str:
    """Returns the ARN of the key that has signed a version, as the preflight finds it."""
    clients = SignedClients(
        sagemaker=account.client("sagemaker"),
        s3=account.client("s3"),
        kms=account.client("kms"),
        scaling=account.client("application-autoscaling"),
    )
    expected = expected_of(serving_settings(**change), recipe(), arn)
    return check(clients, expected).judged.files.signed_by


def check_serves(account: Emulator, arn: str, names: list[str]) -> None:
    """The endpoint serves that version, by the same model and configuration as before."""
    assert endpoint(account)["EndpointStatus"] == "InService"
    assert served_arn(account) == arn
    assert hosting_names(account) == names


STACK = "sashiko-dev-Serving"
NO_PROMPT = "--require-approval=never"


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
        folder = synthesize(tmp_path_factory.mktemp("before"), none)
        emulator.cdk("deploy", *BEFORE, "--exclusively", NO_PROMPT, folder=folder)
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
        "another image": {"lock": lock(image="huggingface-pytorch-inference-neuronx:1")},
        "too many cores": {"lock": lock(cores=2)},
        "compiled for a CPU": {"lock": lock(target="cpu", cores=None)},
        "tampered": {},
        "failed gate": {"failed": "bias"},
    }
    arns = {
        name: register(account, new / name, execution=name, **evidence)
        for name, evidence in wrong.items()
    }
    tamper(account, arns["tampered"])
    return arns


@pytest.fixture(scope="module")
def before(account: Emulator, versions: dict[str, str]) -> dict[str, list[str]]:
    """The account's inventory before anything is served."""
    return inventory(account)


REFUSED = {
    "unapproved": "is PendingManualApproval, not Approved",
    "another image": "its image is huggingface-pytorch-inference-neuronx:1, but the endpoint's",
    "too many cores": "2 processes of it need 4 cores, but ml.inf2.xlarge has 2",
    "compiled for a CPU": "compile.target is cpu, but the endpoint's is inf2 on ml.inf2.xlarge",
    "tampered": "model.tar.gz is not the file that was signed",
    "failed gate": "the gate bias did not pass",
}


@pytest.mark.parametrize("version", ["first", *REFUSED])
def test_the_preflight_says_before_a_deploy_what_the_deploy_would(
    versions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    write_repository(tmp_path, versions[version])
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["env", "preflight", "--env", "dev"])

    if version in REFUSED:
        assert (result.exit_code, result.stdout) == (4, "")
        images, refusal = result.stderr.split("\n", 1)
        assert images.endswith(": nothing stops a deploy")
        assert refusal.startswith("refused: ")
        assert REFUSED[version] in refusal
    else:
        assert result.exit_code == 0
        assert result.stderr.endswith(": nothing stops a deploy\n")
        assert f"{versions[version]} may be served: " in result.stdout
        assert result.stdout.endswith("signed files match, threshold 0.43\n")


# The preflight above reads each; a deploy asks the same function.
DEPLOYED_ALWAYS = ("tampered",)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(wrong, marks=() if wrong in DEPLOYED_ALWAYS else pytest.mark.slow)
        for wrong in REFUSED
    ],
)
def test_a_bare_deploy_of_a_wrong_version_is_refused_and_nothing_is_made(
    account: Emulator,
    versions: dict[str, str],
    before: dict[str, list[str]],
    tmp_path: Path,
    wrong: str,
) -> None:
    folder = synthesize(tmp_path, versions[wrong])

    output = account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=folder, status=1)

    assert "preflight refused: " in output
    assert REFUSED[wrong] in output
    assert inventory(account) == before


def test_life(
    account: Emulator, versions: dict[str, str], before: Any, tmp_path_factory: Any
) -> None:
    """In order: serve, inspect, update a scaled endpoint, roll back, destroy."""
    new = tmp_path_factory.mktemp
    first = synthesize(new("first"), versions["first"])
    deploy(account, first)
    output = account.cdk("diff", "Serving", "--exclusively", "--fail", folder=first)
    assert "differences: 0" in output
    check_endpoint(account, versions["first"])
    check_scaling_and_alarms(account)
    names = hosting_names(account)
    assert audit(first) == []
    check_janitor(account, versions["first"])
    assert hosting_names(account) == names

    scale_out(account, 3)
    second = synthesize(new("second"), versions["second"], invocations_per_instance=100)
    deploy(account, second)
    assert served_arn(account) == versions["second"]
    assert set(hosting_names(account)) & set(names) == {
        NAME
    }  # model and configuration are new ones
    assert count(account) == 3  # the count set by scaling, not the configuration's 1
    assert audit(second) == []

    check_refusal_leaves_it_alone(account, versions, new("bad"))
    check_audit(account, second)

    # Rolling back deploys the older ARN, which gives the same names as before.
    deploy(account, synthesize(new("back"), versions["first"]))
    assert hosting_names(account) == names
    assert served_arn(account) == versions["first"]
    destroy(account, first)
    assert inventory(account) == before


def deploy(account: Emulator, folder: Path) -> None:
    """Each resource then matches its template."""
    account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=folder)
    own_resources = [item for item in deployed(account) if item.stack == STACK]
    assert len(own_resources) > 10
    assert [text for item in own_resources for text in item.differences()] == []


def destroy(account: Emulator, folder: Path) -> None:
    account.cdk("destroy", "Serving", "--exclusively", "--force", folder=folder)


@pytest.mark.slow
def test_an_endpoint_that_scales_gets_another_machine_in_the_preflights_two_deploys(
    account: Emulator, versions: dict[str, str], tmp_path_factory: Any
) -> None:
    new, arn = tmp_path_factory.mktemp, versions["first"]
    deploy(account, synthesize(new("scaled"), arn))
    scale_out(account, 3)
    larger = {"inf2": "ml.inf2.8xlarge"}
    assembly = synthesize(new("larger"), arn, instance_types=larger)
    output = account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=assembly, status=1)
    assert "scales on ml.inf2.xlarge, and SageMaker cannot change the" in output

    deploy(account, synthesize(new("still"), arn, max_instances=1))
    assert count(account) == 3
    deploy(account, assembly)
    assert config(account)["ProductionVariants"][0]["InstanceType"] == "ml.inf2.8xlarge"
    assert audit(assembly) == []
    destroy(account, assembly)


@pytest.mark.slow
def test_the_signing_key_is_replaced_and_then_distrusted(
    account: Emulator, versions: dict[str, str], tmp_path_factory: Any
) -> None:
    """Last: its keys stay."""
    check_signing_life(account, versions["first"], tmp_path_factory.mktemp)


def check_refusal_leaves_it_alone(
    account: Emulator, versions: dict[str, str], folder: Path
) -> None:
    """The stack can be deployed again: the rollback did not call the preflight."""
    names, current_arn = hosting_names(account), served_arn(account)
    invalid = synthesize(folder, versions["unapproved"], p99_latency_ms=1)

    output = account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=invalid, status=1)

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
