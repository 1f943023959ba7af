"""Reads raw files as raw rows: CSV with the rules of `sashiko.data.raw_files`, and Parquet."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that all of Spark's documents use
from pyspark.sql.types import StringType, StructField, StructType

from sashiko.contract.glue_job.spec import LoadError, LoadSpec
from sashiko.contract.glue_job.transform import UNREADABLE

# A header, quotes doubled inside quotes, line ends inside quotes; delimiter and encoding are the
# spec's. Spark reads other encodings than UTF-8 with line ends inside quotes since SPARK-26122.
_CSV: dict[str, Any] = {
    "header": True,
    "multiLine": True,
    "escape": '"',
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": UNREADABLE,
}
# What Spark calls a column without a name at the place of a written-out index.
_UNNAMED = "_c0"
_NOT_UTF8 = "\ufffd"


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
    names = _header(spark, files, options)
    fields = [StructField(name, StringType()) for name in (*names, UNREADABLE)]
    rows = spark.read.schema(StructType(fields)).options(**options).csv(files)
    if spec.row_number is not None:
        # A file with line ends in its values is never split, so its rows are numbered in order.
        rows = rows.withColumn(spec.row_number, F.monotonically_increasing_id())
        names = names[1:] if names[:1] == [_UNNAMED] else names
    texts = [_quoted(name) for name in names]
    no_text = F.contains(F.concat_ws("", *texts), F.lit(_NOT_UTF8))
    unreadable = F.when(no_text, F.coalesce(UNREADABLE, F.concat_ws(",", *texts)))
    row_number = [] if spec.row_number is None else [spec.row_number]
    return rows.select(
        # Spark reads nothing between two commas as null; whether it means "missing" is the spec's.
        *(F.coalesce(text, F.lit("")).alias(name) for text, name in zip(texts, names, strict=True)),
        *row_number,
        unreadable.otherwise(F.col(UNREADABLE)).alias(UNREADABLE),
    )


def _header(spark: SparkSession, files: list[str], options: Mapping[str, Any]) -> list[str]:
    """Reads the columns' names, which must be the same in every file: Spark reads by position."""
    headers = [spark.read.options(**options).csv(name).columns for name in files]
    for name, header in zip(files, headers, strict=True):
        if header != headers[0]:
            raise LoadError(
                f"{name}: its header is {','.join(header)}, but that of {files[0]} is "
                f"{','.join(headers[0])}; give every file of the table the same header"
            )
    return headers[0]


def _quoted(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")
