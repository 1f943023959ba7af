"""A project whose approved model is the tiny artifact, with a lake to score."""

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sashiko.base.files import sha256_file, walk_files, write_json
from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.registry.attestation import MANIFEST_FILE
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko_packs.batch.records import Publication
from tests.e2e.serving.tiny_artifact import NUMBER, build_artifact
from tests.unit.contract import documents

ROOT = Path.cwd()  # tests/conftest.py: with the samples
GROUP = "loan-desk"
BATCH = {
    "schedule": None, "max_rows": 5000, "max_usd": 10, "monitored": 100,
    "job": {
        "instance_type": "ml.m5.2xlarge", "instance_count": 1, "volume_size": "50GB",
        "max_runtime": "2h",
    },
}  # fmt: skip
GATES = ("data-quality", "model-quality", "bias", "data-quality-facets", "device")
NOW = dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)
TOO_LONG = "bad a b c d e f g h"
TITLES = ("bad", "good", TOO_LONG, "fine", "awful", "")


def document_of(kind: str) -> dict[str, Any]:
    if kind == "number":
        return documents.number()
    document = documents.document()
    if kind == "classes":
        documents.column_of(document, "late")["enum"] = [
            {"value": value} for value in ("no", "maybe", "yes")
        ]
        documents.custom(document, "label")["value"] = {"column": "late", "favourable": ["yes"]}
    return document


def make_project(root: Path, *, kind: str = "two", batch: dict[str, Any] | None = None) -> Path:
    """Writes recipe, contract, pipelines and settings; nothing is registered or loaded yet."""
    for name in ("recipes/models", "pipelines", "config"):
        shutil.copytree(ROOT / name, root / name)
    base = yaml.safe_load((root / "config/base.yaml").read_text())
    base["packs"] = [*dict.fromkeys([*base["packs"], "batch"])]
    base["batch"] = BATCH
    (root / "config/base.yaml").write_text(yaml.safe_dump(base))
    (root / "config/local.yaml").write_text('{tier: local, account: "111122223333", recipe: loans}')
    (root / "contracts").mkdir()
    (root / "contracts/loans.odcs.yaml").write_text(yaml.safe_dump(document_of(kind)))
    metric = {"two": "auc", "classes": "macro_f1", "number": "r2"}[kind]
    gate = {"metric": metric, "minimum": 0.1}
    recipe = {
        "extends": "models/all-minilm-l6-v2.yaml", "name": "loans", "description": "A test's.",
        "contract": "contracts/loans.odcs.yaml", "model_package_group": GROUP,
        "data": {"sources": [{"kind": "file", "path": "rows.csv"}]},
        "text": {"template": "{title}"},
        "quality": {"gates": [gate | {"reason": "of use"}]},
        "bias": {
            "gates": [{"metric": "DI", "facet": "age", "minimum": 0.1, "reason": "a test's"}]
        },
        "batch": {"window": {"column": "lent_at", "days": 7}} if batch is None else batch,
    }  # fmt: skip
    (root / "recipes/loans.yaml").write_text(yaml.safe_dump(recipe))
    (root / ".sashiko").mkdir()
    return root


def register(
    root: Path, *, kind: str = "two", threshold: float = 0.5, waiver: dict[str, str] | None = None,
    approve: bool = True, words: dict[str, float] | None = None,
) -> int:  # fmt: skip
    """Registers a version of the tiny artifact with the verdicts of all gates."""
    contract = load_contract(root / "contracts/loans.odcs.yaml")
    number = len(list((root / ".sashiko").glob("files-*")))
    files = root / f".sashiko/files-{number}"
    options: dict[str, Any] = {"number": {**NUMBER, "above": 4.0}} if kind == "number" else {}
    options |= {"words": words} if words else {}
    archive = build_artifact(
        root / f".sashiko/build-{number}", template="{title}", labels=contract.classes, **options
    )
    files.mkdir()
    shutil.copyfile(archive, files / "model.tar.gz")
    for gate in GATES:
        failed = {"name": "auc", "passed": False, "waiver": waiver}
        checks = [failed] if waiver and gate == "model-quality" else []
        verdict = {"gate": gate, "passed": not checks, "checks": checks, "summary": "as it is"}
        write_json(files / gate / "verdict.json", verdict)
    digests = {str(file.relative_to(files)): sha256_file(file) for file in walk_files(files)}
    write_json(files / MANIFEST_FILE, digests)
    uri = f"sqlite:///{root / '.sashiko/mlflow.db'}"
    client, registry = mlflow_client(uri), MlflowRegistry(uri)
    run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
    tags = {"data_sha256": "d", "contract_sha256": "c", "execution_id": f"run-{number}"}
    version, _ = registry.register(GROUP, files=files, run_id=run, threshold=threshold, tags=tags)
    if approve:
        decide(root, version.version, "Approved")
    return version.version


def decide(root: Path, version: int, status: Any) -> None:
    registry = MlflowRegistry(f"sqlite:///{root / '.sashiko/mlflow.db'}")
    registry.decide(GROUP, version, status=status, by="Ada", reason="a test")


def load(root: Path, rows: list[dict[str, Any]], *, table: str = "loans") -> None:
    """Writes a table of the lake; without a label where the rows have none."""
    contract = load_contract(root / "contracts/loans.odcs.yaml")
    schema = arrow_schema(contract, "all")
    schema = pa.schema([field for field in schema if field.name in rows[0]])
    folder = root / ".sashiko/lake" / table
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "data.parquet")


def loans(count: int, *, label: bool = True) -> list[dict[str, Any]]:
    """Rows of the contract, an hour apart, whose titles repeat; some of them are too long."""
    rows = [
        {
            "loan_id": f"L{number:05}", "lent_at": NOW - dt.timedelta(hours=number),
            "pages": 10, "price": 5.0, "title": TITLES[number % len(TITLES)],
            "reader": "a@b.org", "age": "old", "late": "no",
        }
        for number in range(count)
    ]  # fmt: skip
    return rows if label else [{k: v for k, v in row.items() if k != "late"} for row in rows]


def publication(run: str) -> Publication:
    """Of a batch `b` of the table `t`, by a run of that id."""
    return Publication(
        batch="b", table="t", location=f"s3://b/t/runs/{run}", run=run, time=NOW, as_of="load",
        start=None, end=None, group=GROUP, version=1, threshold=0.5, artifact_sha256="a",
        contract_sha256="c", rows=1, refused=0, abstained=0, parts={}, keys_sha256="k",
    )  # fmt: skip


def answers(root: Path, *, table: str = "loans_answers") -> dict[str, list[dict[str, Any]]]:
    """What a reader of the table of answers sees: the rows by batch."""
    folder = root / ".sashiko/lake" / table
    return {
        batch.name.removeprefix("batch="): [
            row
            for file in sorted(batch.glob("[!_.]*"))
            for row in pq.read_table(file, partitioning=None).to_pylist()
        ]
        for batch in sorted(folder.glob("batch=*"))
    }


def captured(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / ".sashiko/capture").rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
