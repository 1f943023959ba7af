"""An account in moto: a bucket, a signing key, a model package group; and the lineage it lacks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
from moto import mock_aws

from sashiko.base.aws_calls import Clients
from sashiko.pipeline.definition.validator.api_shapes import check_value, shape
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.model_packages.registry import PackageRegistry

REGION = "eu-west-1"
BUCKET = "models-bucket"
GROUP = "acme-dev-late-loans"
KEY = "alias/acme-dev-signing"
PLACEMENT = Placement(
    models_uri=f"s3://{BUCKET}/models",
    signing_key=KEY,
    serving_image="111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme/serving:1",
    made_from="s3://snapshots/training/data/c0ffee/2026-11-01",
)
_LINEAGE = (
    "ListArtifacts", "CreateArtifact", "DescribeAction", "ListActions", "DescribeArtifact",
    "CreateAction", "ListAssociations", "AddAssociation",
)  # fmt: skip


class Killed(BaseException):
    """A process that ends here."""


@dataclass
class Account:
    clients: Clients  # of moto
    bucket: str = BUCKET  # of the models
    group: str = GROUP  # the model package group
    # Every call of SageMaker that was made: operation -> parameters.
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    # The lineage's associations: source, destination, type.
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # ARN -> source URI
    # ARN of an action -> what DescribeAction answers.
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def registrar(self) -> PackageRegistrar:
        return PackageRegistrar(self.clients, PLACEMENT)

    @property
    def registry(self) -> PackageRegistry:
        return PackageRegistry(self.clients)

    def objects(self) -> set[str]:
        contents = self.clients.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"] for item in contents}

    def body(self, uri: str) -> bytes:
        key = uri.removeprefix(f"s3://{self.bucket}/")
        return self.clients.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def created(self) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == "CreateModelPackage"]

    def decide(self, number: int, status: str) -> None:
        arn = self.registry.version(self.group, number).arn
        self.clients.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)

    def links(self) -> set[tuple[str, str, str]]:
        """Returns the associations by the URIs of their ends."""
        return {(self.sources[one], self.sources[two], kind) for one, two, kind in self.edges}

    def kill_before(self, service: str, operation: str, *, call: int = 1) -> None:
        """Ends the process, once, before it makes that call."""
        left = [call]

        def die(**_: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(operation)

        client = getattr(self.clients, service)
        client.meta.events.register_first(f"before-call.{service}.{operation}", die)

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, dict(params)))
        _within_limits(model.name, params)

    def _remember(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds to the metadata, which moto forgets in an update and SageMaker does not."""
        existing = self.clients.sagemaker.describe_model_package(
            ModelPackageName=params["ModelPackageArn"]
        )
        before, added = (
            properties.get("CustomerMetadataProperties", {}) for properties in (existing, params)
        )
        return {**params, "CustomerMetadataProperties": {**before, **added}}

    def _lineage(self, operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "ListArtifacts":
            arns = [arn for arn, uri in self.sources.items()
                     if uri == params["SourceUri"] and "artifact/" in arn]  # fmt: skip
            return {"ArtifactSummaries": [{"ArtifactArn": arn} for arn in arns]}
        if operation == "DescribeAction":
            return self.actions.get(_arn("action", params["ActionName"]))
        if operation == "ListActions":
            assert (params["SortBy"], params["SortOrder"]) == ("CreationTime", "Ascending")
            names = [
                {"ActionName": action["ActionName"]}
                for action in self.actions.values()
                if action["Source"]["SourceUri"] == params["SourceUri"]
                and action["ActionType"] == params["ActionType"]
            ]
            return {"ActionSummaries": names}
        if operation == "DescribeArtifact":
            return {"Source": {"SourceUri": self.sources[params["ArtifactArn"]]}}
        if operation == "ListAssociations":
            edges = [
                {"SourceArn": edge[0], "AssociationType": edge[2]}
                for edge in self.edges
                if params.get("SourceArn", edge[0]) == edge[0]
                and params["DestinationArn"] == edge[1]
            ]
            return {"AssociationSummaries": edges}
        return self._create(operation.removeprefix("Create"), params)

    def _create(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        if kind == "AddAssociation":
            edge = (params["SourceArn"], params["DestinationArn"], params["AssociationType"])
            assert edge not in self.edges
            self.edges.append(edge)
            return {}
        arn = _arn(kind.lower(), params.get("ActionName", f"a{len(self.sources)}"))
        assert arn not in self.sources
        self.sources[arn] = params["Source"]["SourceUri"]
        if kind == "Action":
            caller = {"IamIdentity": {"Arn": "arn:aws:sts::1:assumed-role/approver/ada"}}
            about = {"ActionArn": arn, "CreationTime": datetime.now(UTC), "CreatedBy": caller}
            self.actions[arn] = params | about
        return {f"{kind}Arn": arn}


@contextmanager
def opened() -> Iterator[Account]:
    """An account with what the stacks make."""
    with mock_aws():
        session = boto3.Session(
            aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION
        )
        clients = Clients(**{name: session.client(name) for name in ("sagemaker", "s3", "kms")})
        where = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
        yield furnished(Account(clients), key=KEY, where=where)


def furnished(account: Account, *, key: str, where: Mapping[str, Any]) -> Account:
    """Makes in an empty account what the stacks make, and what moto lacks."""
    clients = account.clients
    clients.s3.create_bucket(Bucket=account.bucket, **where)
    created = clients.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    clients.kms.create_alias(AliasName=key, TargetKeyId=created["KeyMetadata"]["KeyId"])
    clients.sagemaker.create_model_package_group(ModelPackageGroupName=account.group)
    events = clients.sagemaker.meta.events
    events.register("provide-client-params.sagemaker.*", account._record)
    events.register("provide-client-params.sagemaker.UpdateModelPackage", account._remember)
    for operation in _LINEAGE:
        events.register(f"before-call.sagemaker.{operation}", _answering(account, operation))
    return account


def replace_signing_key(kms: Any, alias: str) -> None:
    """Does what a deploy does that gives an environment its second signing key."""
    first = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
    second = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    kms.create_alias(AliasName=f"{alias}-1", TargetKeyId=first)
    kms.update_alias(AliasName=alias, TargetKeyId=second["KeyId"])


def _answering(account: Account, operation: str) -> Callable[..., Any]:
    def answer(**_: Any) -> Any:
        lineage = account._lineage(operation, account.calls[-1][1])
        if lineage is None:
            missing = {"Code": "ResourceNotFound", "Message": "no such action"}
            return SimpleNamespace(status_code=400), {"Error": missing, "ResponseMetadata": {}}
        return SimpleNamespace(status_code=200), lineage

    return answer


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:111122223333:{kind}/{name}"


def _within_limits(operation: str, params: dict[str, Any]) -> None:
    """Holds what is sent against the API's enums, patterns and lengths: boto3 leaves them alone."""
    of_request = operation in _LINEAGE or "PipelineExecution" in operation
    shape_name = f"{operation}{'Request' if of_request else 'Input'}"
    checked = {key: value for key, value in params.items() if key != "CustomerMetadataProperties"}
    problems = check_value(checked, shape(shape_name), where=operation, resolve=lambda value: value)
    assert [problem for problem in problems if problem] == []
