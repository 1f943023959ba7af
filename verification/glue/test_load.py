"""A whole load: its output, a repeated run, and a ruleset that blocks."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sashiko.contract.glue_job
from sashiko.base.files import sha256_file
from sashiko.contract.glue_job import table_load
from sashiko.contract.glue_job.spec import LoadError, LoadSpec
from sashiko.contract.glue_job.table_load import Outcome, Places, load, main
from sashiko.contract.glue_job.transform import Parts, transform
from tests.unit.contract.documents import column_of
from verification.glue.contracts import HEADER, dirty_document, line, spec_of, write_csv

AS_OF = "20261125T104500Z"
LINES = [line(loan_id=f"l{index}", reader=f"{index}@x.org") for index in range(8)]
DIRTY = [line(loan_id="bad", pages="many"), line(loan_id="l3", title="A longer copy")]


@pytest.fixture
def spec(tmp_path: Path) -> LoadSpec:
    return spec_of(dirty_document(), tmp_path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folders = {name: str(tmp_path / name) for name in ("raw", "curated", "quarantine")}
    return Places(**folders, as_of=AS_OF)


def extract(places: Places) -> str:
    return f"{places.raw}/loans/as_of={AS_OF}"


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Puts a judge in the place of Glue's; it notes how many rows it was shown."""

    def judge(*outcomes: Outcome) -> list[int]:
        row_counts: list[int] = []

        def evaluate(rows: Any, ruleset: str) -> tuple[Outcome, ...]:
            assert ruleset.startswith("Rules = [")
            row_counts.append(rows.count())
            return outcomes

        monkeypatch.setattr(table_load, "evaluate", evaluate)
        return row_counts

    return judge


PASSED = Outcome(rule="RowCount >= 3", passed=True, reason="")
FAILED = Outcome(rule="RowCount >= 30", passed=False, reason="Value: 8 is too small")


def _written(folder: str) -> list[str]:
    files = sorted(Path(folder, "loans", f"as_of={AS_OF}").glob("*.parquet"))
    return [sha256_file(file) for file in files]


def _rows(folder: str) -> list[dict[str, Any]]:
    path = Path(folder, "loans", f"as_of={AS_OF}")
    rows: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return rows


def test_each_row_ends_in_curated_or_in_quarantine(
    spark: SparkSession, spec: LoadSpec, places: Places, evaluations: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    row_counts = evaluations(PASSED)
    write_csv(Path(extract(places), "one.csv"), *LINES)
    write_csv(Path(extract(places), "two.csv"), *DIRTY)
    load(spark, spec, places)
    assert [row["loan_id"] for row in _rows(places.curated)] == [f"l{index}" for index in range(8)]
    reasons = {row["title"]: row["_reasons"] for row in _rows(places.quarantine)}
    assert reasons == {
        "Emma": ["pages: type integer"],
        "A longer copy": ["title: at most 6 characters"],
    }
    assert row_counts == [8]
    assert "10 rows read, 8 clean, 2 quarantined" in capsys.readouterr().err
    schema = pq.read_schema(next(Path(places.curated).rglob("*.parquet")))
    assert str(schema.field("lent_at").type) == "timestamp[us, tz=UTC]"


def test_the_same_extract_twice_leaves_the_same_files_and_nothing_partial(
    spark: SparkSession, spec: LoadSpec, places: Places, evaluations: Any
) -> None:
    evaluations(PASSED)
    raw = write_csv(Path(extract(places), "loans.csv"), *LINES, *DIRTY)
    load(spark, spec, places)
    first = _written(places.curated), _written(places.quarantine)
    partition = Path(places.curated, "loans", f"as_of={AS_OF}")
    (partition / "part-99999.parquet").write_bytes(b"half a file")
    (partition / "_SUCCESS").unlink()
    write_csv(raw, *reversed([*LINES, *DIRTY]))
    load(spark, spec, places)
    assert (_written(places.curated), _written(places.quarantine)) == first


def test_a_ruleset_that_fails_or_says_nothing_blocks(
    spark: SparkSession, spec: LoadSpec, places: Places, evaluations: Any
) -> None:
    write_csv(Path(extract(places), "loans.csv"), *LINES, *DIRTY)
    for outcomes, message in (
        ((PASSED, FAILED), "1 of 2 rules failed; nothing is published\n  RowCount >= 30: Value: 8"),
        ((), "0 of 0 rules failed"),
    ):
        evaluations(*outcomes)
        with pytest.raises(LoadError) as raised:
            load(spark, spec, places)
        assert message in str(raised.value)
        assert not Path(places.curated).exists()
        assert len(_rows(places.quarantine)) == 2


def test_rows_that_nobody_can_judge_are_not_published(
    spark: SparkSession, spec: LoadSpec, places: Places
) -> None:
    write_csv(Path(extract(places), "loans.csv"), *LINES)
    with pytest.raises(LoadError, match="only Glue can judge the rows"):
        load(spark, spec, places)
    assert not Path(places.curated).exists()


def test_a_later_extract_is_not_taken_for_this_one(
    spark: SparkSession, spec: LoadSpec, places: Places, evaluations: Any
) -> None:
    evaluations(PASSED)
    write_csv(Path(extract(places), "loans.csv"), *LINES)
    write_csv(Path(places.raw, "loans", "as_of=20261126T000000Z", "loans.csv"), *DIRTY)
    load(spark, spec, places)
    assert len(_rows(places.curated)) == len(LINES)
    assert not Path(places.quarantine, "loans").exists() or _rows(places.quarantine) == []


def test_a_lost_row_stops_the_load_before_anything_is_written(
    spark: SparkSession, spec: LoadSpec, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy_split(raw: Any, spec: LoadSpec) -> Parts:
        clean, quarantined = transform(raw, spec)
        return Parts(clean=clean.limit(7), quarantined=quarantined)

    monkeypatch.setattr(table_load, "transform", lossy_split)
    write_csv(Path(extract(places), "loans.csv"), *LINES)
    with pytest.raises(LoadError, match=r"rows were lost or doubled: \(8, 7, 0\)"):
        load(spark, spec, places)
    assert not Path(places.quarantine).exists()


@pytest.mark.parametrize("as_of", ["2026-11-25", "20261125T104500", "20261325T104500Z", "../x"])
def test_an_as_of_that_is_no_instant_is_refused(as_of: str, spark: SparkSession, spec: LoadSpec):
    places = Places(raw="raw", curated="curated", quarantine="quarantine", as_of=as_of)
    with pytest.raises(LoadError, match="such as 20261125T104500Z"):
        load(spark, spec, places)


def test_raw_files_that_cannot_be_one_table_are_refused(
    spark: SparkSession, spec: LoadSpec, places: Places, tmp_path: Path
) -> None:
    with pytest.raises(LoadError, match="no files"):
        load(spark, spec, places)
    write_csv(Path(extract(places), "a.csv"), *LINES)
    swapped = HEADER.replace("title,reader", "reader,title")
    write_csv(Path(extract(places), "b.csv"), *DIRTY, header=swapped)
    with pytest.raises(LoadError, match=r"b\.csv: its header is loan_id,lent_at.*reader,title"):
        load(spark, spec, places)
    contract = dirty_document()
    column_of(contract, "loan_id")["logicalType"] = "integer"
    contract["schema"][0]["customProperties"].append(
        {"property": "ingest", "value": {"row_number": "loan_id"}}
    )
    with pytest.raises(LoadError, match="2 files, but `loan_id` numbers the rows of one file"):
        load(spark, spec_of(contract, tmp_path), places)
    Path(extract(places), "notes.txt").touch()
    with pytest.raises(LoadError, match=r"files that end in \.csv or all in \.parquet; csv, txt"):
        load(spark, spec, places)


@pytest.fixture
def glue(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Glue's modules, with the calls that AWS documents; every rule passes."""
    calls: list[Any] = []

    def apply(*, frame: Any, ruleset: str, publishing_options: dict[str, Any]) -> Any:
        calls.append((frame.count(), ruleset, publishing_options))
        outcomes = spark.createDataFrame(
            [("RowCount >= 3", "Passed", None)], "Rule string, Outcome string, FailureReason string"
        )
        return SimpleNamespace(toDF=lambda: outcomes)

    parts = {
        "awsglue": {},
        "awsglue.context": {"GlueContext": lambda _: SimpleNamespace(spark_session=spark)},
        "awsglue.dynamicframe": {"DynamicFrame": SimpleNamespace(fromDF=lambda rows, *_: rows)},
        "awsgluedq": {},
        "awsgluedq.transforms": {"EvaluateDataQuality": SimpleNamespace(apply=apply)},
    }
    for name, members in parts.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_the_job_as_glue_starts_it(
    glue: list[Any], spec: LoadSpec, places: Places, tmp_path: Path
) -> None:
    write_csv(Path(extract(places), "loans.csv"), *LINES)
    (tmp_path / "spec.json").write_text(spec.to_json())
    main([
        "--JOB_NAME", "etl", "--job-bookmark-option", "job-bookmark-disable",
        "--spec", str(tmp_path / "spec.json"), "--raw", places.raw, "--curated", places.curated,
        "--quarantine", places.quarantine, "--as-of", AS_OF,
    ])  # fmt: skip
    assert len(_rows(places.curated)) == 8
    ((rows, ruleset, _),) = glue
    assert (rows, ruleset) == (8, spec.ruleset)


def test_a_run_without_its_extract_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--spec", "s", "--raw", "r", "--curated", "c", "--quarantine", "q"])
    assert "--as-of" in capsys.readouterr().err


def test_the_script_runs_on_its_package_and_pyspark_alone(tmp_path: Path) -> None:
    folder = Path(sashiko.contract.glue_job.__file__).parent
    package = tmp_path / "package.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for file in (
            folder.parents[1] / "__init__.py",
            folder.parent / "__init__.py",
            *folder.glob("*.py"),
        ):
            archive.write(file, file.relative_to(folder.parents[2]))
    script = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(package)!r})\n"
        "sys.argv = ['job.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(folder / 'job.py')!r}, run_name='__main__')\n"
        "except SystemExit:\n"
        "    print(sys.modules['sashiko'].__file__)\n"
        "print('loaded:', *({'boto3', 'pandas', 'pyarrow', 'pydantic', 'yaml'} & {*sys.modules}))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "--as-of" in process.stdout
    assert str(package) in process.stdout
    assert process.stdout.splitlines()[-1].strip() == "loaded:"
