"""Checks that a version may be served: approved, judged, signed, compiled for its endpoint."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sashiko.base.aws_calls import Clients
from sashiko.base.custom_resource import RefusedError
from sashiko.registry.attestation import MANIFEST_FILE, PROVENANCE_FOLDER, read_statement
from sashiko.registry.preflight.expected import Bound, Expected, bound_problems
from sashiko.registry.preflight.signed_files import SignedFiles, signed_files

_CANARY_FROM = 2  # instances: a canary is one, and half of the fleet at most
_ARTIFACT = "model.tar.gz"
_VERDICT = "verdict.json"
_FOLDER = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A version that is approved, judged, signed and compiled; its JSON files alone were read."""

    package: Mapping[str, Any]  # as SageMaker describes it
    files: SignedFiles  # what was signed
    threshold: str  # its decision threshold, as signed


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A version that may be served."""

    threshold: str  # its decision threshold, as signed, for the container's environment
    manifest_sha256: str  # what was signed
    files: int  # how many files were read and hold
    bounds: tuple[str, ...]  # the environment's own bounds that it reaches, in words
    judged: Judged  # what SageMaker and its signed files say of it


def check(
    clients: Clients, expected: Expected, *, in_time: Callable[[], bool] = lambda: True
) -> Passed:
    """Checks a version against the expectations of an environment; it only reads.

    Raises:
        RefusedError: with the reason, if the version may not be served.
        ClientError: if an AWS call is refused.
    """
    judged = judge(clients, expected)
    _check_update(clients, expected)
    judged.files.check(in_time=in_time)
    return Passed(
        threshold=judged.threshold,
        manifest_sha256=judged.files.manifest_sha256,
        files=len(judged.files.digests),
        bounds=tuple(f"{bound} {bound.requirement()}" for bound in Bound.read(expected.bounds)),
        judged=judged,
    )


def judge(clients: Clients, expected: Expected) -> Judged:
    """Makes the checks of `check`, except those of all files and of the current endpoint.

    Raises:
        RefusedError: with the reason, if the version may not be served.
        ClientError: if an AWS call is refused.
    """
    arn = expected.model_package_arn
    package = clients.sagemaker.describe_model_package(ModelPackageName=arn)
    _check_package(package, expected)
    (container,) = package["InferenceSpecification"]["Containers"]
    files = signed_files(clients, _place_of(container, expected), expected)
    if _ARTIFACT not in files.digests or not files.uri.endswith(f"/{files.manifest_sha256[:16]}"):
        raise RefusedError(
            f"{arn}: the manifest in {files.uri} is another version's; reject it and register it "
            "again"
        )
    _check_provenance(files)
    check_gates(files, name=arn, gates=expected.gates, allow_waived=expected.allow_waived == "true")
    # Waivers of the recipe do not apply to the environment's bounds.
    low = [
        f"{problem}, but this environment requires {bound} {bound.requirement()}"
        for bound in Bound.read(expected.bounds)
        for problem in bound_problems(bound, files.json(f"{bound.gate}/{_VERDICT}"))
    ]
    if low:
        raise RefusedError(
            f"{arn}: {'; '.join(low)}. Serve a version that reaches it, or change `serving.bounds` "
            "in this environment's configuration"
        )
    if problems := list(_lock_problems(files, expected)):
        raise RefusedError(
            f"{arn} was compiled for another endpoint: {'; '.join(problems)}. Change the settings "
            "back, or run the pipeline with these"
        )
    threshold = repr(float(files.json("decision.json")["threshold"]))
    for field, actual, required in (
        ("image", container.get("Image"), expected.image),
        ("environment", container.get("Environment"), {"SASHIKO_THRESHOLD": threshold}),
        ("additional data", container.get("AdditionalS3DataSource"), None),
    ):
        if actual != required:
            raise RefusedError(f"{arn}: its {field} is {actual}, but the endpoint's is {required}")
    return Judged(package=package, files=files, threshold=threshold)


def _check_update(clients: Clients, expected: Expected) -> None:
    """Checks that SageMaker can update the current endpoint, if any, to the expected one.

    Its guide: "Update endpoints that use auto scaling", and `TrafficRoutingConfig` of its API. To
    an update to another mode it answers "The AsyncInferenceConfig parameter cannot be removed from
    this endpoint" (aws/sagemaker-python-sdk, pull request 3124). An update that violates a rule
    fails during a deploy; this refuses it earlier, with a workaround.
    """
    name = expected.endpoint
    try:
        live = clients.sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" not in error.response["Error"]["Message"]:
            raise
        return
    config = live["EndpointConfigName"]
    config = clients.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    (variant,), (current,) = live["ProductionVariants"], config["ProductionVariants"]
    mode, served = (
        "asynchronous" if flag else "real-time"
        for flag in (expected.sleeps, "AsyncInferenceConfig" in config)
    )
    if mode != served:
        raise RefusedError(
            f"{name} serves in mode {served}, and SageMaker takes no configuration of another mode "
            f"for it. Destroy the Serving stack, and deploy it with `serving.mode: {mode}`; "
            "until then nothing answers"
        )
    minimum, count = int(expected.min_instances), variant["DesiredInstanceCount"]
    if minimum >= _CANARY_FROM > count:
        counts = [{"VariantName": variant["VariantName"], "DesiredInstanceCount": minimum}]
        raise RefusedError(
            f"{name} has {count} instance, and with `serving.min_instances: {minimum}` an update "
            "sends a canary ahead, which SageMaker allows in a fleet of two or more. First, and "
            "then deploy again: aws sagemaker update-endpoint-weights-and-capacities "
            f"--endpoint-name {name} --desired-weights-and-capacities "
            f"{shlex.quote(json.dumps(counts))} && aws sagemaker wait endpoint-in-service "
            f"--endpoint-name {name}"
        )
    if current["InstanceType"] != expected.instance_type:
        resource = f"endpoint/{name}/variant/{variant['VariantName']}"
        targets = clients.scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[resource]
        )
        if targets["ScalableTargets"]:
            if expected.sleeps:
                raise RefusedError(
                    f"{name} scales on {current['InstanceType']}, and SageMaker cannot change the "
                    "instance type of an endpoint that scales, as one that sleeps always does. "
                    "Destroy the Serving stack and deploy it; what is queued is lost"
                )
            raise RefusedError(
                f"{name} scales on {current['InstanceType']}, and SageMaker cannot change the "
                "instance type of an endpoint that scales. Deploy twice: first the current version "
                "with `serving.max_instances` equal to `serving.min_instances`, which turns "
                f"scaling off; then {expected.instance_type} with the final `max_instances`"
            )


def check_approved(name: str, status: str) -> None:
    """Checks that a version is approved, and its approval was not revoked; RefusedError if not."""
    if status != "Approved":
        raise RefusedError(
            f"{name} is {status}, not Approved; the approver decides with `sashiko model approve`"
        )


def _check_package(package: Mapping[str, Any], expected: Expected) -> None:
    arn, group = expected.model_package_arn, package.get("ModelPackageGroupName")
    if group != expected.model_package_group:
        raise RefusedError(
            f"{arn} is of the group {group}; this environment serves only "
            f"{expected.model_package_group}"
        )
    check_approved(arn, str(package.get("ModelApprovalStatus")))
    if package.get("ModelPackageStatus") != "Completed":
        raise RefusedError(f"{arn} is not complete: {package.get('ModelPackageStatus')}")
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1:
        raise RefusedError(f"{arn} has {len(containers)} containers; one is served")


def _place_of(container: Mapping[str, Any], expected: Expected) -> str:
    """Returns the prefix of the version's files: that of the artifact that SageMaker loads."""
    url = str(container.get("ModelDataUrl"))
    source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", url)
    below = f"{expected.models_uri}/{expected.model_package_group}/"
    folder = url.removeprefix(below).removesuffix(f"/{_ARTIFACT}")
    if url != f"{below}{folder}/{_ARTIFACT}" or not _FOLDER.fullmatch(folder) or source != url:
        raise RefusedError(
            f"{expected.model_package_arn} serves {source}, not an artifact that was registered "
            f"below {below}"
        )
    return f"{below}{folder}"


def _check_provenance(files: SignedFiles) -> None:
    """Compares the statement about a version with its manifest; a version without one passes.

    What is not signed there, such as an image in the registry or a commit, is for `sashiko model
    lineage`: a deploy is refused only for what is certain.
    """
    if files.statement is None:
        return
    try:
        statement = read_statement(files.statement, build="model")
    except ValueError as error:
        raise RefusedError(f"{files.uri}: its provenance: {error}; register it again") from error
    signed = {**files.digests, MANIFEST_FILE: files.manifest_sha256}
    stated = [(name, statement.subject_digest(name)) for name in (_ARTIFACT, MANIFEST_FILE)]
    stated += [
        (item.name, item.sha256)
        for item in statement.dependencies
        if item.name.startswith(PROVENANCE_FOLDER)
    ]
    others = [f"it names another {name}" for name, sha256 in stated if sha256 != signed.get(name)]
    if others:
        raise RefusedError(
            f"{files.uri}: its provenance is another version's: {'; '.join(others)}. Reject it, "
            "find out who wrote there, and register it again"
        )


class VersionFiles(Protocol):
    """The files that were registered with a version, each compared with its digest."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Name -> hex SHA-256."""

    def json(self, name: str) -> Any:
        """Reads a JSON file; RefusedError if it is missing or was changed."""


def check_gates(files: VersionFiles, *, name: str, gates: str, allow_waived: bool) -> None:
    """Checks that gates passed, or failed checks are waived and no waiver is over.

    Args:
        files: those of the version.
        name: the version's, for the refusal.
        gates: those that must have judged, with a comma between two; any other one that judged
            must have passed too.
        allow_waived: whether a failed check that the recipe waived is accepted.

    Raises:
        RefusedError: with the reason.
    """
    required = {f"{gate}/{_VERDICT}" for gate in gates.split(",")}
    verdicts = {file for file in files.digests if file.endswith(f"/{_VERDICT}")}
    for file in sorted(required | verdicts):
        gate = file.removesuffix(f"/{_VERDICT}")
        verdict = files.json(file)
        failed = [check for check in verdict.get("checks", ()) if check.get("passed") is not True]
        if verdict.get("gate") == gate and failed and all(item.get("waiver") for item in failed):
            for check in verdict["checks"]:
                if check.get("waiver"):
                    _check_waiver(check["name"], check["waiver"], name, allow_waived=allow_waived)
            continue
        unjudged = file in required and verdict.get("judged") is False
        if verdict.get("gate") != gate or verdict.get("passed") is not True or unjudged:
            raise RefusedError(
                f"{name}: the gate {gate} did not pass: "
                f"{verdict.get('summary') or 'its verdict says no more'}"
            )


def _check_waiver(
    check: str, waiver: Mapping[str, Any], version: str, *, allow_waived: bool
) -> None:
    until = f"`{check}` failed and is waived by {waiver['owner']} until {waiver['expires']}"
    if not allow_waived:
        raise RefusedError(
            f"{version}: {until}: {waiver['reason']}. This environment serves "
            "no waived model: set `serving.allow_waived` in its configuration to serve it until "
            "then, or register one that passes"
        )
    if date.fromisoformat(waiver["expires"]) < datetime.now(UTC).date():
        raise RefusedError(
            f"{version}: {until}, which is over: serve another version, or "
            "waive the check anew in the recipe and run the pipeline"
        )


def _lock_problems(files: SignedFiles, expected: Expected) -> Iterator[str]:
    lock, image = files.json("compile-lock.json"), expected.image.rpartition("/")[2]
    if lock.get("artifact_sha256") != files.digests[_ARTIFACT]:
        yield "it is another artifact's lock"
    if lock.get("target") != expected.target:
        yield (
            f"compile.target is {lock.get('target')}, but the endpoint's is {expected.target} on "
            f"{expected.instance_type}"
        )
    if lock.get("image") != image:
        yield f"its image is {lock.get('image')}, but the endpoint's is {image}"
    if int(expected.cores) and lock.get("target") == expected.target:
        used = int(lock.get("cores") or 0) * int(expected.workers)
        if not 0 < used <= int(expected.cores):
            yield (
                f"{expected.workers} processes of it need {used or 'unknown'} cores, but "
                f"{expected.instance_type} has {expected.cores}"
            )
