"""How fast a data contract is checked, against plain Great Expectations on pandas.

    python -m verification.benchmarks.data_quality
    python -m verification.benchmarks.data_quality --plot docs/images/data-quality.svg

Ten expectations on one Parquet file; some rows break them. Each contender is a process of its own.
`measured` is the time from the file to the verdict, imports done; `peak` the process's largest
resident memory, imports included. It ends with an error where verdicts, counts, failing rules or
examples are not the same.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sashiko.contract.checkpoint import run_checks
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.contract.results import to_check
from sashiko.contract.rules import expectations
from sashiko.contract.suite import expectation_suite
from sashiko.contract.table_stream import parquet_stream
from sashiko.core.parquet import write_batches
from sashiko.evaluation.gates.verdict import Check
from verification.benchmarks.bars import seconds_as_bars
from verification.benchmarks.runs import machine

CONTENDERS = {
    "ours": "by the batch, merged",
    "plain": "plain Great Expectations on pandas",
}
_CONTRACT = Path(__file__).with_suffix(".odcs.yaml")
_AT_ONCE = 1_000_000


def main() -> None:
    """Prints a line for each contender."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--run", choices=CONTENDERS, nargs="+", default=list(CONTENDERS))
    parser.add_argument("--plot", type=Path, help="write the picture here, as SVG")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(time_contender(options.contender, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.parquet"
        write_rows(file, options.rows)
        timings = {name: _best(name, file, options.repeat) for name in options.run}
    if len({json.dumps(figures.pop("checks")) for figures in timings.values()}) > 1:
        sys.exit("error: the contenders do not say the same")
    print(_table(options.rows, timings, repeat=options.repeat))
    if options.plot:
        options.plot.write_text(f"{_picture(options.rows, timings)}\n")


def write_rows(file: Path, rows: int) -> None:
    """Writes seeded orders, of which a few break each rule; memory holds one stretch of them."""
    schema = pa.schema(
        {"order_id": pa.string(), "amount": pa.float64(), "returned": pa.string()}.items()
    )

    def batches() -> object:
        for start in range(0, rows, _AT_ONCE):
            yield _orders(start, min(rows, start + _AT_ONCE), schema)

    write_batches(file, batches(), schema=schema)


def _orders(start: int, stop: int, schema: pa.Schema) -> pa.RecordBatch:
    generator = np.random.default_rng([0, start])
    size = stop - start
    numbers = np.arange(start, stop)
    duplicates = generator.integers(0, size, 5)
    numbers[duplicates] = numbers[(duplicates * 7) % size]
    keys = pa.array(np.char.mod("C%010d", numbers))
    amounts = np.round(generator.gamma(2.0, 40.0, size), 2)
    amounts[generator.integers(0, size, 5)] = -1
    answers = generator.choice(np.array(["no", "yes"]), size, p=[0.9, 0.1]).astype(object)
    answers[generator.integers(0, size, 3)] = "maybe"
    answers[generator.integers(0, size, 2)] = None
    columns = [keys, pa.array(amounts), pa.array(answers, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def time_contender(contender: str, file: Path) -> dict[str, object]:
    """Times a contender, with its imports done."""
    import great_expectations  # noqa: F401 - its import is not what is timed

    import sashiko.contract.merged_metrics  # noqa: F401 - as above

    contract = load_contract(_CONTRACT)
    start, cpu_start = time.perf_counter(), time.process_time()
    if contender == "ours":
        checks = run_checks(parquet_stream(file), contract, "all")
    else:
        checks = plain_checks(pd.read_parquet(file), contract)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu_start,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "checks": [check.model_dump(mode="json") for check in checks],
    }


def plain_checks(frame: pd.DataFrame, contract: Contract) -> tuple[Check, ...]:
    """Runs a contract's suite on a whole pandas frame, as the manual of Great Expectations does."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset(contract.table)
    suite = context.suites.add(expectation_suite(contract, "all"))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name="all", data=asset.add_batch_definition_whole_dataframe("all"), suite=suite
        )
    )
    outcome = definition.run(
        batch_parameters={"dataframe": frame}, result_format={"result_format": "SUMMARY"}
    )
    results = {item.expectation_config.meta["name"]: item for item in outcome.results}
    return tuple(to_check(item, results[item.name]) for item in expectations(contract, "all"))


def _best(contender: str, file: Path, repeat: int) -> dict[str, object]:
    """Runs a contender in processes of its own."""
    command = [sys.executable, "-m", "verification.benchmarks.data_quality", "--file", str(file)]
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "ARROW_NUM_THREADS": "2"}
    runs = []
    for number in range(repeat):
        print(f"{contender}, run {number + 1} of {repeat}", file=sys.stderr)
        process = subprocess.run(
            [*command, "--contender", contender],
            env=os.environ | threads,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        runs.append(json.loads(process.stdout))
    return min(runs, key=lambda run: float(run["seconds"]))


def _table(rows: int, timings: dict[str, dict[str, object]], *, repeat: int) -> str:
    base = timings.get("plain", next(iter(timings.values())))
    rules = len(expectations(load_contract(_CONTRACT), "all"))
    lines = [
        f"On {machine()}, the best of {repeat} runs. {rows:,} rows, {rules} expectations; verdict, "
        "counts, failing rules and examples are the same.\n",
        "| | measured | ratio | CPU | peak |",
        "|---|---|---|---|---|",
    ]
    for name, figures in timings.items():
        lines.append(
            f"| {CONTENDERS[name]} | {figures['seconds']:.2f} s "
            f"| {float(figures['seconds']) / float(base['seconds']):.2f} "
            f"| {figures['cpu']:.2f} s | {figures['peak_gb']:.2f} GB |"
        )
    return "\n".join(lines)


def _picture(rows: int, timings: dict[str, dict[str, object]]) -> str:
    seconds = {CONTENDERS[name]: float(figures["seconds"]) for name, figures in timings.items()}
    values = "; ".join(f"{label}: {value:.1f} s" for label, value in seconds.items())
    return seconds_as_bars(
        seconds,
        ours=frozenset({CONTENDERS["ours"]}),
        name="data-quality",
        alt=f"Seconds for ten expectations on {rows:,} rows. {values}.",
    )


if __name__ == "__main__":
    main()
