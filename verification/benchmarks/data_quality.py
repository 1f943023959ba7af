"""How fast a data contract is checked, against plain Great Expectations on pandas.

    python -m verification.benchmarks.data_quality --plot docs/images/data-quality.svg

Each contender is a process of its own. `measured` is the time from the file to the verdict, imports
done; `peak` includes them. It ends with an error where the two do not say the same.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sashiko.base.parquet import write_batches
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.contract.rule_expectations import expectations
from sashiko.contract.suite_checks import expectation_suite, run_checks, to_check
from sashiko.contract.table_stream import parquet_stream
from sashiko.evaluation.gates.verdict import Check
from verification.benchmarks import bench

_OURS, _PLAIN = "by the batch, merged", "plain Great Expectations on pandas"
_CONTENDERS = {_OURS: "ours", _PLAIN: "plain"}  # label -> function
_CONTRACT = Path(__file__).with_suffix(".odcs.yaml")
_AT_ONCE = 1_000_000
_SCHEMA = pa.schema(
    {"order_id": pa.string(), "amount": pa.float64(), "returned": pa.string()}.items()
)


def main() -> None:
    """Prints a line for each contender."""
    chosen = bench.options(__doc__, rows=10_000_000, repeat=3, plot=Path)
    rules = len(expectations(load_contract(_CONTRACT), "all"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.parquet"
        write_batches(file, _orders(chosen.rows), schema=_SCHEMA)
        best: dict[str, dict[str, Any]] = {}
        for label, function in _CONTENDERS.items():
            print(f"{label} ...", file=sys.stderr)
            runs = [
                bench.time_apart("verification.benchmarks.data_quality", function, str(file))
                for _ in range(chosen.repeat)
            ]
            best[label] = min(runs, key=lambda run: float(run["seconds"]))
    if len({json.dumps(figures["result"]) for figures in best.values()}) > 1:
        sys.exit("error: the contenders do not say the same")
    print(
        f"On {bench.machine()}, the best of {chosen.repeat} runs. {chosen.rows:,} rows, {rules} "
        "expectations; verdict, counts, failing rules and examples are the same.\n"
    )
    rows = (
        (label, f"{run['seconds']:.2f} s", f"{run['seconds'] / best[_PLAIN]['seconds']:.2f}",
         f"{run['cpu']:.2f} s", f"{run['peak_gb']:.2f} GB")
        for label, run in best.items()
    )  # fmt: skip
    bench.show(bench.table(("", "measured", "ratio", "CPU", "peak"), rows))
    if chosen.plot:
        seconds = {label: figures["seconds"] for label, figures in best.items()}
        alt = f"Seconds for ten expectations on {chosen.rows:,} rows"
        bench.seconds_as_bars(chosen.plot, seconds, ours=[_OURS], alt=alt)


def _orders(rows: int) -> Iterator[pa.RecordBatch]:
    """Draws orders, of which a few break each rule; memory holds one stretch of them."""
    for start in range(0, rows, _AT_ONCE):
        generator = np.random.default_rng([0, start])
        numbers = np.arange(start, min(rows, start + _AT_ONCE))
        size = len(numbers)
        duplicates = generator.integers(0, size, 5)
        numbers[duplicates] = numbers[(duplicates * 7) % size]
        keys = pa.array(np.char.mod("C%010d", numbers))
        amounts = np.round(generator.gamma(2.0, 40.0, size), 2)
        amounts[generator.integers(0, size, 5)] = -1
        answers = generator.choice(np.array(["no", "yes"]), size, p=[0.9, 0.1]).astype(object)
        answers[generator.integers(0, size, 3)] = "maybe"
        answers[generator.integers(0, size, 2)] = None
        columns = [keys, pa.array(amounts), pa.array(answers, pa.string())]
        yield pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def ours(file: str) -> Callable[[], list[dict[str, Any]]]:
    """Prepares the checks that Validate runs."""
    import great_expectations  # noqa: F401 - its import is not what is timed

    import sashiko.contract.merged_metrics  # noqa: F401 - as above

    contract = load_contract(_CONTRACT)
    return lambda: _as_json(run_checks(parquet_stream(Path(file)), contract, "all"))


def plain(file: str) -> Callable[[], list[dict[str, Any]]]:
    """Prepares the same checks by Great Expectations alone."""
    import great_expectations  # noqa: F401 - as above

    contract = load_contract(_CONTRACT)
    return lambda: _as_json(plain_checks(pd.read_parquet(file), contract))


def _as_json(checks: tuple[Check, ...]) -> list[dict[str, Any]]:
    return [check.model_dump(mode="json") for check in checks]


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


if __name__ == "__main__":
    main()
