import hashlib
import io
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.aws_calls import Clients
from sashiko.base.files import write_json
from sashiko.contract.glue import check_lake
from sashiko.contract.manifest import read_manifest
from sashiko.data import athena_lake
from sashiko.data.athena_lake import AthenaLake
from sashiko.data.existing_table import check_columns, read_table
from sashiko.data.lake import seed_lake
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import read_verdict
from sashiko.settings.recipe_data import DataSection, FolderSource
from sashiko.steps import snapshot, validate
from tests.unit.contract.documents import rows
from tests.unit.data.existing import LAKE, TYPES, existing, glue_answer, iceberg_folder, link_answer
from tests.unit.data.stubs import add_query, stubbed


def _own(contract: Any) -> pa.Table:
    """The rows as their owner has them: other names and types, and a column more."""
    table = rows(contract)
    names = ["Age_Group" if name == "age" else name for name in table.column_names]
    table = table.rename_columns(names).append_column("branch", pa.array(["n", "s", "n", "s"]))
    pages = table.schema.get_field_index("pages")
    return table.set_column(pages, "pages", table["pages"].cast(pa.int32()))


@pytest.mark.parametrize(
    ("lake", "message"),
    [
        ({"database": "sales"}, "`lake.table`"),
        ({"database": "sales", "table": "Loans; DROP"}, "key `lake.table`"),
        ({"database": "sales", "table": "loans", "catalog": "acme"}, "key `lake.catalog`"),
        ({"database": "sales", "table": "loans", "bucket": "b"}, "bucket"),
    ],
)
def test_a_table_of_another_owner_is_named_whole(lake, message, tmp_path):
    with pytest.raises(InputError, match=message):
        existing(tmp_path, lake)


def test_rows_of_another_owners_table_are_not_filtered_or_numbered_here(tmp_path):
    filters = [{"persona": "data-scientist", "filter": "pages = 1", "columns": ["loan_id"]}]
    with pytest.raises(InputError, match=r"`rowFilters`: .* its owner's to grant"):
        existing(tmp_path, rowFilters=filters)
    with pytest.raises(InputError, match=r"`ingest.row_number`: .* has no row numbers"):
        existing(tmp_path, ingest={"row_number": "pages"})
    with pytest.raises(InputError, match=r"c\.yaml: .*`lake`: only Lake Formation lets a role"):
        check_lake({"c.yaml": existing(tmp_path)}, row_filters_hold=False, region="us-east-1")
    other = existing(tmp_path, LAKE | {"region": "eu-west-1"})
    with pytest.raises(InputError, match=r"`lake.region`: eu-west-1 is not the environment's"):
        check_lake({"c.yaml": other}, row_filters_hold=True, region="us-east-1")


def test_each_role_reads_its_own_columns_of_one_snapshot(tmp_path):
    lake, contract = AthenaLake(workgroup="group", database="lake"), existing(tmp_path)
    training = lake.query(contract, "training", as_of="42")
    assert training == (
        'SELECT "loan_id", "lent_at", "pages", "price", "title", "late" FROM '
        '(SELECT CAST("loan_id" AS varchar) AS "loan_id", '
        'CAST("lent_at" AT TIME ZONE \'UTC\' AS timestamp) AS "lent_at", '
        'CAST("pages" AS bigint) AS "pages", CAST("price" AS double) AS "price", '
        'CAST("title" AS varchar) AS "title", CAST("late" AS varchar) AS "late" '
        'FROM "shared"."loans" FOR VERSION AS OF 42) ORDER BY "loan_id"'
    )
    facets = lake.query(contract, "facets", as_of="42")
    assert 'CAST("age_group" AS varchar) AS "age"' in facets
    assert 'FROM "shared"."loans" FOR VERSION AS OF 42)' in facets
    assert "reader" not in training + facets
    assert "title" not in facets
    assert "VERSION" not in lake.query(contract, "facets", as_of="20261201T000000Z")


def test_the_owners_catalog_is_asked_and_dropped_columns_are_skipped(tmp_path):
    answer = glue_answer(TYPES | {"old": "string"}, PartitionKeys=[{"Name": "day", "Type": "date"}])
    answer["Table"]["StorageDescriptor"]["Columns"][-1]["Parameters"] = {
        "iceberg.field.current": "false"
    }
    calls: list[dict[str, str]] = []

    def get_table(**names: str) -> Any:
        calls.append(names)
        return link_answer() if "CatalogId" not in names else answer

    lake = existing(tmp_path).lake
    assert lake is not None
    owners = {"CatalogId": "222233334444", "DatabaseName": "sales", "Name": "loans_v2"}
    table = read_table(get_table, lake)
    assert calls == [owners]
    assert table.types == TYPES | {"day": "date"}
    assert table.is_iceberg
    # As `--from-glue` names it: by the link.
    followed = read_table(get_table, lake.model_copy(update={"catalog": None, "link": None,
                          "database": "shared", "table": "loans"}))  # fmt: skip
    assert followed.types == table.types
    assert followed.lake == lake


def test_a_schema_may_gain_columns_and_a_changed_one_is_refused_by_name(tmp_path):
    contract = existing(tmp_path)
    columns = contract.view_columns("training")
    assert check_columns(TYPES | {"new": "int"}, contract, columns, name="t") == ("new",)
    changed = {**TYPES, "pages": "string", "heading": "string"}
    del changed["title"]
    with pytest.raises(InputError) as error:
        check_columns(changed, contract, columns, name="t")
    assert "t: column `pages` has type string, the contract `library-loans` says integer" in str(
        error.value
    )
    assert "no column `title`, which the contract" in str(error.value)
    assert "it has heading, which the contract does not name" in str(error.value)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job of the facets, with stubs of its services."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    write_json(tmp_path / "config" / "processingjobconfig.json", {"ProcessingJobName": "job"})
    monkeypatch.setattr(athena_lake.time, "sleep", lambda _: None)
    with stubbed("athena") as athena, stubbed("glue") as glue, stubbed("s3") as s3:
        clients = Clients(athena=athena[0], glue=glue[0], s3=s3[0])
        monkeypatch.setattr(athena_lake, "connect", lambda: clients)
        yield SimpleNamespace(athena=athena[1], glue=glue[1], s3=s3[1])


def _unloads(job: SimpleNamespace, table: pa.Table) -> None:
    """A query that writes one file."""
    results = {"ResultConfiguration": {"OutputLocation": "s3://snapshots/facets/athena/"}}
    job.athena.add_response(
        "get_work_group", {"WorkGroup": {"Name": "g", "Configuration": results}}
    )
    add_query(job.athena, "SUCCEEDED")
    body = io.BytesIO()
    pq.write_table(table, body)
    content = body.getvalue()
    listed = {"Contents": [{"Key": "facets/scratch/0"}]}
    size = {"ContentLength": len(content), "ETag": hashlib.sha256(content).hexdigest()}
    job.s3.add_response("list_objects_v2", listed)
    job.s3.add_response("head_object", size)
    job.s3.add_response("get_object", size | {"Body": io.BytesIO(content)})
    job.s3.add_response("list_objects_v2", listed)
    job.s3.add_response("delete_objects", {})


def _take(contract: Any, folder: Path, as_of: str) -> Any:
    lake = AthenaLake(workgroup="group", database="lake")
    file = folder / "data.parquet"
    return snapshot.take_snapshot(contract, "facets", lake=lake, as_of=as_of, data_file=file)


def test_a_hive_table_is_copied_and_the_manifest_says_that_nothing_pins_it(job, tmp_path, capsys):
    contract = existing(tmp_path)
    job.glue.add_response("get_table", glue_answer(TYPES | {"shelf": "int"}, iceberg=False))
    _unloads(job, rows(contract).select(["loan_id", "age", "late"]))
    manifest = _take(contract, tmp_path, "20261201T000000Z")
    assert "222233334444:sales.loans_v2: not read: shelf" in capsys.readouterr().err
    assert manifest.source.snapshot_id is None
    assert "not pinned: only the copied rows are kept" in manifest.source.text


@pytest.mark.parametrize(
    ("as_of", "iceberg", "message"),
    [
        ("20261201T000000Z", True, "is an Iceberg table, whose versions are ids of snapshots"),
        ("42", False, "is no table with ids of snapshots"),
        ("latest", True, "the snapshots of a run could be of two versions"),
        ("4; DROP", True, "AsOf `4; DROP`: expected"),
    ],
)
def test_a_version_that_pins_nothing_is_refused(as_of, iceberg, message, job, tmp_path):
    if as_of in ("42", "20261201T000000Z"):
        job.glue.add_response("get_table", glue_answer(TYPES, iceberg=iceberg))
    with pytest.raises(InputError, match=message):
        _take(existing(tmp_path), tmp_path, as_of)
    if as_of == "42":
        job.glue.add_response("get_table", glue_answer(TYPES))
        _unloads(job, pa.table({"snapshot_id": pa.array([], pa.int64())}))
        with pytest.raises(InputError, match="has no snapshot 42: it has expired"):
            _take(existing(tmp_path), tmp_path, as_of)


def _seed(root: Path, contract: Any, folder: Path, *, as_of: str | None = None, bias: bool = True):
    data = DataSection(sources=(FolderSource(kind="folder", path=str(folder)),))
    recipe = SimpleNamespace(name="loans", data=data, bias=SimpleNamespace(judged=bias))
    return seed_lake(recipe, contract, lake=root / "lake", cache=root / "cache", as_of=as_of)


def _step(monkeypatch: pytest.MonkeyPatch, root: Path, table: Any, view: str) -> Any:
    """Runs Snapshot of a view, and then its validation; returns manifest, rows and verdict."""
    arguments = ["--view", view, "--lake-uri", table.uri, "--as-of", table.as_of]
    monkeypatch.setattr(sys, "argv", ["snapshot", *arguments])
    snapshot.main()
    inputs, outputs = root / "processing/input", root / "processing/output"
    manifest, data = read_manifest(outputs / "manifest"), outputs / "data/data.parquet"
    taken = pq.read_table(data)
    for name in ("data", "manifest"):
        (inputs / name).mkdir(exist_ok=True)
        for file in (outputs / name).iterdir():
            file.replace(inputs / name / file.name)
    monkeypatch.setattr(sys, "argv", ["validate", "--view", view])
    validate.main()
    if view == "training":
        shutil.copytree(inputs / "manifest", inputs / "training-manifest", dirs_exist_ok=True)
    return manifest, taken, read_verdict(outputs / "verdict")


@pytest.fixture
def contract(tmp_path, monkeypatch):
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    config = tmp_path / "processing/input/config"
    config.mkdir(parents=True)
    return existing(config)


def test_a_folder_of_parquet_files_goes_through_the_steps_to_their_verdicts(
    contract, tmp_path, monkeypatch
):
    own = _own(contract)
    for number, day in enumerate(("2025-03-01", "2025-03-02")):
        folder = tmp_path / "theirs" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(own.slice(2 * number, 2), folder / "part-0.parquet")
    table = _seed(tmp_path, contract, tmp_path / "theirs")
    for view in ("training", "facets"):
        manifest, taken, verdict = _step(monkeypatch, tmp_path, table, view)
        expected = rows(contract).sort_by("loan_id")
        names = [column.name for column in contract.view_columns(view)]
        assert taken.equals(expected.select(names))
        assert verdict.passed
        assert manifest.source.text.startswith("theirs, which is not pinned")
    lake = pq.read_table(table.path / "data.parquet")
    assert lake["reader"].null_count == 4  # pii is not even copied
    assert _seed(tmp_path, contract, tmp_path / "theirs") == table


def test_an_older_snapshot_of_an_iceberg_folder_gives_the_older_rows(
    contract, tmp_path, monkeypatch
):
    own = _own(contract)
    folder, (first, second) = iceberg_folder(tmp_path, own.slice(0, 3), own.slice(3))
    for as_of, keys, named in ((first, "abd", first), (None, "abcd", second)):
        table = _seed(tmp_path, contract, folder, as_of=as_of)
        manifest, taken, _ = _step(monkeypatch, tmp_path, table, "training")
        assert taken["loan_id"].to_pylist() == list(keys)
        assert manifest.source.snapshot_id == named
        assert manifest.source.committed_at.endswith("+00:00")
    with pytest.raises(InputError, match=f"has no snapshot 42; it has {first}, {second}"):
        _seed(tmp_path, contract, folder, as_of="42")
    newest = max(folder.glob("metadata/*.json"), key=lambda file: file.name)
    text = newest.read_text()
    newest.write_text(text.replace("/made/db/loans/metadata/snap-", "/elsewhere/snap-"))
    with pytest.raises(InputError, match=r"the table has files elsewhere: .*/elsewhere/snap-"):
        _seed(tmp_path, contract, folder, as_of=first)
    newest.write_text(text)
    for pattern in ("data/*", "metadata/snap-*"):
        for file in folder.glob(pattern):
            file.write_bytes(file.read_bytes()[:60])
        with pytest.raises(InputError, match=r"copied cannot be read: .*; copy it again"):
            _seed(tmp_path, contract, folder, as_of=first)


def test_a_folder_that_does_not_fit_is_refused_and_the_lake_is_left_alone(contract, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    with pytest.raises(InputError, match=r"theirs has no .*, and no Parquet files"):
        _seed(tmp_path, contract, folder)
    own = _own(contract).drop_columns(["Age_Group"])
    pq.write_table(own, folder / "part-0.parquet")
    with pytest.raises(InputError, match=r"no column `Age_Group`.* it has branch, which"):
        _seed(tmp_path, contract, folder)
    assert not (tmp_path / "lake/loans/data.parquet").exists()
    _seed(tmp_path, contract, folder, bias=False)  # then no step reads a facet
    with pytest.raises(InputError, match="no snapshots: leave --as-of out"):
        _seed(tmp_path, contract, folder, as_of="42")
    ours = contract.model_copy(update={"lake": None})
    with pytest.raises(InputError, match=r"`data.sources`: .* names none \(`lake`\)"):
        _seed(tmp_path, ours, folder)
