"""A version in moto, registered by the project's own registrar, with evidence that holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3

from sashiko.base.aws_calls import Clients
from sashiko.base.files import sha256_file, write_json
from sashiko.registry.preflight.expected import Expected
from sashiko.registry.preflight.scans import ScanRule
from sashiko.registry.preflight.version_check import Passed, check
from tests.unit.registry.model_packages import gathered
from tests.unit.registry.model_packages.account import (
    BUCKET,
    GROUP,
    KEY,
    PLACEMENT,
    REGION,
    Account,
)
from tests.unit.registry.model_packages.gathered import gather, seal

_IMAGE = PLACEMENT.serving_image.rpartition("/")[2]
LOCK = {**gathered.LOCK, "target": "cpu", "image": _IMAGE, "cores": None}
CHECKS: Mapping[str, list[dict[str, Any]]] = MappingProxyType(
    {
        "data-quality": [{"name": "loan_id: no nulls", "passed": True}],
        "model-quality": [
            {"name": "auc", "value": 0.87, "low": 0.85, "high": 0.89, "passed": True},
            {"name": "auc lead over majority", "value": 0.37, "passed": True},
        ],
        "bias": [
            {"name": "DI age=old", "value": 0.84, "low": 0.76, "high": 0.93, "passed": True},
            {"name": "DI age=60+ & sex=f", "value": 0.81, "passed": True},
            {"name": "AD age=old", "value": None, "passed": True},
        ],
    }
)
TAGS = {
    "execution_id": "one", "recipe": "late-loans", "git_sha": "c0ffee", "data_sha256": "0" * 64,
    "contract_sha256": "1" * 64,
}  # fmt: skip


@dataclass
class Version:
    account: Account  # in which it is
    arn: str  # of its package
    folder: str  # of its files, as an S3 prefix within the bucket

    def expected(self, **change: str) -> Expected:
        """What an environment that serves it expects, with a change."""
        fitting = {
            "model_package_arn": self.arn, "model_package_group": GROUP,
            "models_uri": PLACEMENT.models_uri, "signing_keys": KEY,
            "image": PLACEMENT.serving_image, "target": "cpu", "instance_type": "ml.c6i.xlarge",
            "min_instances": "1", "cores": "0", "workers": "1",
            "gates": "data-quality,model-quality,bias", "allow_waived": "false", "bounds": "[]",
            "scans": ScanRule(images=(), accepted=(), strict=True).write(),
        }  # fmt: skip
        return Expected(**(fitting | change))

    def check(self, **change: str) -> Passed:
        return check(self.clients, self.expected(**change))

    @property
    def clients(self) -> Clients:
        clients = self.account.clients
        scaling = boto3.client("application-autoscaling", region_name=REGION)
        return Clients(sagemaker=clients.sagemaker, s3=clients.s3, kms=clients.kms, scaling=scaling)

    def put(self, name: str, content: bytes) -> None:
        self.account.clients.s3.put_object(Bucket=BUCKET, Key=f"{self.folder}/{name}", Body=content)

    def update(self, **change: Any) -> None:
        self.account.clients.sagemaker.update_model_package(ModelPackageArn=self.arn, **change)


def write_evidence(
    root: Path,
    *,
    lock: Mapping[str, Any] = MappingProxyType({}),
    failed: str = "",
    unjudged: str = "",
    waived_until: str = "",
    artifact: bytes = b"weights",
) -> Path:
    """Writes what Register gathers into an empty folder, sealed.

    `lock` is what differs in the compile lock, `failed` a gate that did not pass, whose one check
    is waived until a day, and `unjudged` a gate that was switched off.
    """
    folder = gather(root)
    waiver = {"check": "DI", "owner": "Ada", "reason": "the desk reads every case"}
    waived: list[dict[str, Any]] = [{"name": "DI", "passed": False}]
    if waived_until:
        waived[0]["waiver"] = {**waiver, "expires": waived_until}
    (folder / "model.tar.gz").write_bytes(artifact)
    for gate in ("data-quality", "data-quality-facets", "model-quality", "bias", "device"):
        checks = waived if gate == failed else CHECKS.get(gate, [])
        verdict = {"gate": gate, "passed": gate != failed, "summary": f"{gate}: said so"}
        switched_off = {"judged": False} if gate == unjudged else {}
        about = {**verdict, "inputs": {}, "checks": checks, **switched_off}
        write_json(folder / gate / "verdict.json", about)
    archive = sha256_file(folder / "model.tar.gz")
    write_json(folder / "compile-lock.json", {**LOCK, "artifact_sha256": archive, **lock})
    write_json(folder / "decision.json", {"threshold": 0.43})
    seal(folder)
    return folder


def registered(account: Account, evidence: Path, *, status: str = "Approved") -> Version:
    """Registers a folder of evidence and decides on it."""
    version, _ = account.registrar.register(
        GROUP, files=evidence, run_id="r", threshold=0.43, tags=TAGS
    )
    account.decide(version.version, status)
    (key,) = [name for name in account.objects() if name.endswith("model.tar.gz")]
    return Version(account, str(version.arn), key.rpartition("/")[0])
