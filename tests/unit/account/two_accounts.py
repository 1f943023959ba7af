"""Two accounts in moto: dev's with an approved version, and prod's, which takes it.

moto has no policies, and shows SageMaker and KMS of one's own account alone: what the promoter asks
of dev's has dev's credentials. tests/infra/test_promotion.py tests who may ask.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from moto import mock_aws

from sashiko.account import account as account_module
from sashiko.account import promotion
from sashiko.account.endpoint_spec import endpoint_name, endpoint_spec
from sashiko.account.names import MODELS, Role, bucket_name, key_alias, role_name
from sashiko.base.aws_calls import Clients
from sashiko.base.files import read_json
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings
from tests.infra.variants import recipes_of, settings_of
from tests.unit.registry.model_packages.account import Account, furnished
from tests.unit.registry.model_packages.gathered import seal
from tests.unit.registry.preflight.registered import TAGS, write_evidence
from tests.unit.run_report.runs import judged, prepared, started

DEV, PROD = settings_of("serving"), settings_of("serving_prod")
(RECIPE,) = recipes_of(DEV)
ROUTE = promotion.Route(source=DEV, target=PROD, recipe=RECIPE)
GROUP = endpoint_name(PROD, RECIPE)


@dataclass
class TwoAccounts:
    dev: Account  # the source
    prod: Account  # the target, with the clients of its promoter
    # The requests of the promoter to dev's SageMaker and KMS.
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def promote(self, number: int = 1) -> tuple[ModelVersion, bool]:
        return promotion.promote(ROUTE, number)

    def folder(self, account: Account) -> str:
        """Names the folder of the only version's files, below the bucket."""
        (key,) = [name for name in account.objects() if name.endswith("model.tar.gz")]
        return key.rpartition("/")[0]

    def put(self, name: str, content: bytes) -> None:
        key = f"{self.folder(self.dev)}/{name}"
        self.dev.clients.s3.put_object(Bucket=self.dev.bucket, Key=key, Body=content)

    def change_metadata(self, **change: str) -> None:
        """Changes what dev's package says of itself, as who approves could."""
        self.dev.clients.sagemaker.update_model_package(
            ModelPackageArn=ROUTE.package(1),
            CustomerMetadataProperties=change,
            ModelApprovalStatus="Approved",
        )


@contextmanager
def two_accounts(monkeypatch: pytest.MonkeyPatch, *, act_as: Role) -> Iterator[TwoAccounts]:
    """Opens the accounts, with credentials of a role of prod's."""
    with mock_aws():
        dev, prod = _account(DEV, "registrar"), _account(PROD, act_as)
        accounts = TwoAccounts(dev=dev, prod=prod)
        for service, operation, key in (
            ("sagemaker", "DescribeModelPackage", "ModelPackageName"),
            ("kms", "Verify", "KeyId"),
        ):
            client = getattr(prod.clients, service)
            responder = _SourceResponder(accounts, getattr(dev.clients, service), operation, key)
            client.meta.events.register(
                f"provide-client-params.{service}.{operation}", responder.remember
            )
            client.meta.events.register(f"before-call.{service}.{operation}", responder.answer)
        target = account_module.Account(PROD)
        target._clients = {"sts": _session(PROD, act_as).client("sts"), **vars(prod.clients)}
        monkeypatch.setattr(promotion, "Account", lambda _: target)
        yield accounts


def evidence(folder: Path, **change: Any) -> Path:
    """Writes what Register gathers of a run; what differs is as in `write_evidence`."""
    spec = endpoint_spec(DEV, RECIPE.compile.target)
    lock = {"target": spec.target, "image": spec.image.uri.rpartition("/")[2], "cores": 1}
    gathered = write_evidence(folder, **{"lock": lock, **change})
    run = started(folder / "run")
    prepared(run)
    judged(run)
    for step, output, name in (
        ("Snapshot", "manifest", "manifest.json"),
        ("Evaluate", "metrics", "metrics.json"),
    ):
        (gathered / name).write_bytes((run.output(step, output) / name).read_bytes())
    seal(gathered)
    return gathered


def registrar_of(account: Account, settings: Settings, *, target: str) -> PackageRegistrar:
    placement = Placement(
        models_uri=f"s3://{account.bucket}/{MODELS}",
        signing_key=key_alias(settings, "signing"),
        serving_image=endpoint_spec(settings, target).image.uri,
        made_from="s3://snapshots/training/data/c0ffee",
    )
    return PackageRegistrar(account.clients, placement)


def register(account: Account, files: Path, *, status: str = "Approved", **tags: str) -> None:
    clients, snapshot = account.clients, read_json(files / "manifest.json")
    registrar = registrar_of(account, DEV, target=RECIPE.compile.target)
    of_data = {
        "data_sha256": snapshot["sha256"], "contract_sha256": snapshot["contract"]["sha256"],
    }  # fmt: skip
    version, _ = registrar.register(
        account.group, files=files, run_id="r", threshold=0.43, tags=TAGS | of_data | tags
    )
    clients.sagemaker.update_model_package(
        ModelPackageArn=version.arn,
        ModelApprovalStatus=status,
        ApprovalDescription="Ada (arn:aws:sts::1:assumed-role/x-approver/ada): better, I think",
    )


@dataclass
class _SourceResponder:
    accounts: TwoAccounts
    client: Any
    operation: str
    key: str
    last: dict[str, Any] = field(default_factory=dict)

    def remember(self, params: dict[str, Any], **_: Any) -> None:
        self.last = dict(params)

    def answer(self, **_: Any) -> Any:
        if f":{DEV.account}:" not in self.last[self.key]:
            return None
        self.accounts.requests.append((self.operation, self.last))
        method = getattr(self.client, xform_name(self.operation))
        return SimpleNamespace(status_code=200), method(**self.last)


@functools.cache
def _loader() -> Loader:
    """Keeps what it reads: SageMaker's model takes long."""
    return botocore.session.get_session().get_component("data_loader")


def _session(settings: Settings, role: Role) -> boto3.Session:
    """Assumes a role; moto takes the account from its ARN."""
    sts = boto3.client("sts", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    arn = f"arn:aws:iam::{settings.account}:role/{role_name(settings, role)}"
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=settings.region,
    )


def _account(settings: Settings, role: Role) -> Account:
    session = _session(settings, role)
    clients = Clients(**{name: session.client(name) for name in ("sagemaker", "s3", "kms")})
    account = Account(
        clients, bucket=bucket_name(settings, "artifacts"), group=endpoint_name(settings, RECIPE)
    )
    return furnished(account, key=key_alias(settings, "signing"), where={})
