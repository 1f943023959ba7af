"""One real Spark session for all tests of the Glue job."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession


def _java_version() -> int | None:
    java = shutil.which("java", path=f"{os.environ.get('JAVA_HOME', '')}/bin:{os.environ['PATH']}")
    if java is None:
        return None
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    number = output.split('"')[1] if '"' in output else "0"
    return int(number.split(".")[0])


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    version = _java_version()
    if version is None or not 8 <= version <= 17:
        java_text = "no Java" if version is None else f"Java {version}"
        pytest.fail(
            f"Spark 3.5 needs Java 17, found {java_text}: apt-get install openjdk-17-jre-headless, "
            "or set JAVA_HOME",
            pytrace=False,
        )
    scratch = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local[2]")
        .appName("sashiko tests")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.shuffle.partitions", "2")
        # For a few rows, compiling costs more than it saves.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config("spark.local.dir", str(scratch / "local"))
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
