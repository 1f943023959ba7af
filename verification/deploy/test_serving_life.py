"""The life of an endpoint by the stock command line: approve, serve, update, roll back, destroy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sashiko.cli import app
from verification.deploy import serving as served
from verification.deploy.assembly import bootstrap
from verification.deploy.deployed import deployed
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.serving import (
    NAME,
    audit,
    check_audit,
    check_endpoint,
    check_janitor,
    check_scaling_and_alarms,
    check_signing_life,
    config,
    count,
    hosting_names,
    scale_out,
    served_arn,
)
from verification.deploy.stacks import ACCOUNT, Stacks

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
        folder = served.synthesize(tmp_path_factory.mktemp("before"), none)
        emulator.cdk("deploy", *served.BEFORE, "--exclusively", NO_PROMPT, folder=folder)
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
        images, refusal = result.stderr.split("\n", 1)
        assert images.endswith(": nothing stops a deploy")
        assert refusal.startswith("refused: ")
        assert REFUSED[version] in refusal
    else:
        assert result.exit_code == 0
        assert result.stderr.endswith(": nothing stops a deploy\n")
        assert f"{versions[version]} may be served: " in result.stdout
        assert result.stdout.endswith("signed files hold, threshold 0.43\n")


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
    folder = served.synthesize(tmp_path, versions[wrong])

    output = account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=folder, status=1)

    assert "preflight refused: " in output
    assert REFUSED[wrong] in output
    assert inventory(account) == before


def test_life(
    account: Emulator, versions: dict[str, str], before: Any, tmp_path_factory: Any
) -> None:
    """In order: serve, inspect, update a scaled endpoint, roll back, destroy."""
    new = tmp_path_factory.mktemp
    first = served.synthesize(new("first"), versions["first"])
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
    second = served.synthesize(new("second"), versions["second"], invocations_per_instance=100)
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
    deploy(account, served.synthesize(new("back"), versions["first"]))
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
    deploy(account, served.synthesize(new("scaled"), arn))
    scale_out(account, 3)
    larger = {"inf2": "ml.inf2.8xlarge"}
    assembly = served.synthesize(new("larger"), arn, instance_types=larger)
    output = account.cdk("deploy", "Serving", "--exclusively", NO_PROMPT, folder=assembly, status=1)
    assert "scales on ml.inf2.xlarge, and SageMaker cannot change the" in output

    deploy(account, served.synthesize(new("still"), arn, max_instances=1))
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
    invalid = served.synthesize(folder, versions["unapproved"], p99_latency_ms=1)

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
