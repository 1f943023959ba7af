"""Loads raw files of one `as_of` into curated and quarantined rows."""

import argparse
import datetime as dt
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that all of Spark's documents use
from pyspark.sql.types import StringType, StructField, StructType

from sashiko.contract.glue_job.spec import LoadError, LoadSpec, parse_spec
from sashiko.contract.glue_job.transform import UNREADABLE, physical, transform

# A header, quotes doubled inside quotes, line ends inside quotes; delimiter and encoding are the
# spec's. Spark reads other encodings than UTF-8 with line ends inside quotes since SPARK-26122.
_CSV: dict[str, Any] = {
    "header": True, "multiLine": True, "escape": '"', "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": UNREADABLE,
}  # fmt: skip
# What Spark calls a column without a name at the place of a written-out index.
_UNNAMED = "_c0"
_NOT_UTF8 = "\ufffd"
_AS_OF = re.compile(r"\d{8}T\d{6}Z")
_AS_OF_FORM = "%Y%m%dT%H%M%SZ"
_ROWS_PER_FILE = 1_000_000
# Times are UTC with microseconds, as the local lake writes them, and not Spark's old 96-bit form.
# ANSI off: a text that is no number becomes null, so that its row goes to quarantine.
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.ansi.enabled": "false",
}


def read_raw(spark: SparkSession, spec: LoadSpec, folder: str) -> DataFrame:
    """Reads a table's raw files.

    `folder` holds `.csv` files (each value is read as text) or `.parquet` files (columns keep their
    types), not both.

    Returns:
        The rows under the files' own column names, with the row number if it is wanted, and with
        `_unreadable` for CSV.

    Raises:
        LoadError: if there are no files, files of both kinds, or several where rows are numbered.
    """
    files = _files(spark, folder)
    kinds = {name.rsplit(".", 1)[-1].lower() for name in files}
    if kinds not in ({"csv"}, {"parquet"}):
        extensions = ", ".join(sorted(kinds)) or "no files"
        raise LoadError(
            f"{folder}: expected files that end in .csv or all in .parquet; {extensions}"
        )
    if spec.row_number is not None and len(files) > 1:
        raise LoadError(
            f"{folder}: {len(files)} files, but `{spec.row_number}` numbers the rows of one file; "
            "join them into one"
        )
    if kinds == {"csv"}:
        return _read_csv(spark, spec, files)
    rows = spark.read.parquet(*files)
    if spec.row_number is not None:
        rows = rows.select("*", F.col("_metadata.row_index").alias(spec.row_number))
    return rows


def _files(spark: SparkSession, folder: str) -> list[str]:
    """Lists a folder by Hadoop's file system, which knows S3 as well as a local path."""
    java: Any = spark.sparkContext._jvm
    path = java.org.apache.hadoop.fs.Path(folder)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not system.exists(path):
        return []
    names = [str(item.getPath()) for item in system.listStatus(path) if item.isFile()]
    return sorted(name for name in names if not name.rsplit("/", 1)[-1].startswith(("_", ".")))


def _read_csv(spark: SparkSession, spec: LoadSpec, files: list[str]) -> DataFrame:
    options = _CSV | {"sep": spec.delimiter, "encoding": spec.encoding}
    # They must be the same in every file: Spark reads by position.
    headers = [spark.read.options(**options).csv(name).columns for name in files]
    names = headers[0]
    for name, header in zip(files, headers, strict=True):
        if header != names:
            raise LoadError(
                f"{name}: its header is {','.join(header)}, but that of {files[0]} is "
                f"{','.join(names)}; give every file of the table the same header"
            )
    fields = [StructField(name, StringType()) for name in (*names, UNREADABLE)]
    rows = spark.read.schema(StructType(fields)).options(**options).csv(files)
    if spec.row_number is not None:
        # A file with line ends in its values is never split, so its rows are numbered in order.
        rows = rows.withColumn(spec.row_number, F.monotonically_increasing_id())
        names = names[1:] if names[:1] == [_UNNAMED] else names
    texts = [physical(name) for name in names]
    no_text = F.contains(F.concat_ws("", *texts), F.lit(_NOT_UTF8))
    unreadable = F.when(no_text, F.coalesce(UNREADABLE, F.concat_ws(",", *texts)))
    row_number = [] if spec.row_number is None else [spec.row_number]
    return rows.select(
        # Spark reads nothing between two commas as null; whether it means "missing" is the spec's.
        *(F.coalesce(text, F.lit("")).alias(name) for text, name in zip(texts, names, strict=True)),
        *row_number,
        unreadable.otherwise(F.col(UNREADABLE)).alias(UNREADABLE),
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a rule: its text, whether it passed, and the failure reason."""

    rule: str
    passed: bool
    reason: str


def evaluate(rows: DataFrame, ruleset: str) -> tuple[Outcome, ...]:
    """Evaluates a DQDL ruleset on rows that are not published yet.

    It is done in the job and not by `StartDataQualityRulesetEvaluationRun`, which judges a table
    after it was written, and finds no partition of a table whose partitions are projected.

    Raises:
        LoadError: if this is not Glue: rows that were not judged must not be published.
    """
    try:
        from awsglue.context import GlueContext
        from awsglue.dynamicframe import DynamicFrame
        from awsgluedq.transforms import EvaluateDataQuality
    except ImportError as error:
        raise LoadError(f"only Glue can judge the rows by the ruleset: {error}") from error

    context = GlueContext(rows.sparkSession.sparkContext)
    results = EvaluateDataQuality.apply(
        frame=DynamicFrame.fromDF(rows, context, "clean"),
        ruleset=ruleset,
        publishing_options={
            "dataQualityEvaluationContext": "clean",
            "enableDataQualityCloudWatchMetrics": False,
            "enableDataQualityResultsPublishing": False,
        },
    )
    return tuple(
        Outcome(rule=row.Rule, passed=row.Outcome == "Passed", reason=row.FailureReason or "")
        for row in results.toDF().select("Rule", "Outcome", "FailureReason").collect()
    )


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a load reads and writes."""

    # The folder of the raw files: each extract lies below `<table>/as_of=<as_of>/`, so that no file
    # of a later one is taken for its own.
    raw: str
    curated: str  # the folder of the curated tables
    quarantine: str  # the folder of the quarantined rows
    # The instant that the extract speaks of, such as 20261125T104500Z; a whole extract under its
    # own `as_of` is what a snapshot reads.
    as_of: str


def main(arguments: Sequence[str]) -> None:
    """Runs the load that the job's arguments name.

    Raises:
        LoadError: as `load`.
    """
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name in ("spec", "raw", "curated", "quarantine", "as-of"):
        parser.add_argument(f"--{name}", required=True)
    options, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    spark = session()
    spec = read_spec(spark, options.spec)
    places = Places(
        raw=options.raw, curated=options.curated, quarantine=options.quarantine, as_of=options.as_of
    )
    load(spark, spec, places)


def session() -> SparkSession:
    """Returns Glue's Spark session, or a plain one without Glue, with the settings of the job."""
    try:
        from awsglue.context import GlueContext
        from pyspark import SparkContext

        spark: SparkSession = GlueContext(SparkContext.getOrCreate()).spark_session
    except ImportError:
        spark = SparkSession.builder.getOrCreate()
    for key, value in _SETTINGS.items():
        spark.conf.set(key, value)
    return spark


def read_spec(spark: SparkSession, uri: str) -> LoadSpec:
    """Reads a spec from S3 or a local path.

    The file alone: Spark's own reader also lists the folder, which holds other people's files.
    """
    java: Any = spark.sparkContext._jvm
    path = java.org.apache.hadoop.fs.Path(uri)
    stream = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).open(path)
    try:
        return parse_spec(java.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def load(spark: SparkSession, spec: LoadSpec, places: Places) -> None:
    """Transforms, judges and publishes the rows of one extract.

    Existing output of the same `as_of`, complete or partial, is replaced. Quarantined rows are
    written first, so that they can be inspected when the ruleset fails; curated rows only after it
    passes.

    Raises:
        LoadError: if `as_of` is none, the raw files cannot be read as the contract says, a row was
            lost, or a rule of the ruleset fails.
    """
    try:
        if _AS_OF.fullmatch(places.as_of) is None:
            raise ValueError
        dt.datetime.strptime(places.as_of, _AS_OF_FORM)
    except ValueError as error:
        raise LoadError(
            f"--as-of {places.as_of}: expected an instant in UTC such as 20261125T104500Z"
        ) from error
    partition = f"{spec.table}/as_of={places.as_of}"
    raw = read_raw(spark, spec, f"{places.raw}/{partition}")
    parts = transform(raw, spec)
    clean, quarantined = parts.clean.persist(), parts.quarantined.persist()
    counts = raw.count(), clean.count(), quarantined.count()
    print(
        f"{spec.contract}: as of {places.as_of}: {counts[0]:,} rows read, {counts[1]:,} clean, "
        f"{counts[2]:,} quarantined",
        file=sys.stderr,
    )
    if counts[0] != counts[1] + counts[2]:
        raise LoadError(f"{spec.table}: rows were lost or doubled: {counts}; nothing was written")
    _write(quarantined, quarantined.columns, counts[2], f"{places.quarantine}/{partition}")
    outcomes = evaluate(clean, spec.ruleset)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed or not outcomes:
        head = f"{spec.table}: {len(failed)} of {len(outcomes)} rules failed; nothing is published"
        raise LoadError("\n".join([head, *(f"  {item.rule}: {item.reason}" for item in failed)]))
    _write(clean, [spec.key], counts[1], f"{places.curated}/{partition}")


def _write(rows: DataFrame, order: list[str], count: int, folder: str) -> None:
    """Writes rows so that the same rows make the same files, whatever order they came in."""
    files = max(1, -(-count // _ROWS_PER_FILE))
    ordered = rows.repartition(files, *order).sortWithinPartitions(*order)
    ordered.write.mode("overwrite").parquet(folder)
