"""Loads raw files of one `as_of` into curated and quarantined rows."""

import argparse
import datetime as dt
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sashiko.contract.glue_job.quality import Outcome, evaluate
from sashiko.contract.glue_job.reading import read_raw
from sashiko.contract.glue_job.spec import LoadError, LoadSpec, parse_spec
from sashiko.contract.glue_job.transform import transform

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
    _check_as_of(places.as_of)
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
    _stop_at_failures(spec, evaluate(clean, spec.ruleset))
    _write(clean, [spec.key], counts[1], f"{places.curated}/{partition}")


def _check_as_of(text: str) -> None:
    try:
        if _AS_OF.fullmatch(text) is None:
            raise ValueError
        dt.datetime.strptime(text, _AS_OF_FORM)
    except ValueError as error:
        raise LoadError(
            f"--as-of {text}: expected an instant in UTC such as 20261125T104500Z"
        ) from error


def _stop_at_failures(spec: LoadSpec, outcomes: Sequence[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed or not outcomes:
        head = f"{spec.table}: {len(failed)} of {len(outcomes)} rules failed; nothing is published"
        raise LoadError("\n".join([head, *(f"  {item.rule}: {item.reason}" for item in failed)]))


def _write(rows: DataFrame, order: list[str], count: int, folder: str) -> None:
    """Writes rows so that the same rows make the same files, whatever order they came in."""
    files = max(1, -(-count // _ROWS_PER_FILE))
    ordered = rows.repartition(files, *order).sortWithinPartitions(*order)
    ordered.write.mode("overwrite").parquet(folder)
