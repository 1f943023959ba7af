"""The shipped contracts with a few valid rows, including bounds and allowed nulls."""

import datetime as dt
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract

_CONTRACTS = Path.cwd() / "contracts"  # tests/conftest.py: with the samples
# A multiple of 100, so that 5 % nulls are possible.
SIZE = 100


def complaints() -> tuple[Contract, pa.Table]:
    oldest, newest = dt.datetime(2025, 1, 1), dt.datetime(2026, 6, 30, 23, 59, 59, 999999)
    return _sized(
        "complaints",
        complaint_id=[f"C{number:08}" for number in range(SIZE)],
        received_at=[moment.replace(tzinfo=dt.UTC) for moment in (oldest, newest)],
        complaint_text=["x" * 20, "é" * 400],
        customer_name=["Ann Lee"],
        customer_email=["ann@x.org", "a.b@y.co.uk"],
        customer_phone=["+44 20 7946 0000", "+12345678"],
    )


def census() -> tuple[Contract, pa.Table]:
    contract, table = _sized(
        "census",
        row_id=list(range(SIZE)),
        age=[17, 90],
        education_num=[1, 16],
        capital_gain=[0, 99999],
        capital_loss=[0, 99999],
        hours_per_week=[1, 99],
    )
    for name in ("workclass", "occupation"):
        gaps = pa.array([None] * 5 + table[name].to_pylist()[5:])
        table = table.set_column(table.column_names.index(name), name, gaps)
    return contract, table


def _sized(name: str, **changes: list[Any]) -> tuple[Contract, pa.Table]:
    """Reads a contract and lowers its required number of rows for tests."""
    contract = load_contract(_CONTRACTS / f"{name}.odcs.yaml")
    size = tuple(rule.model_copy(update={"value": float(SIZE)}) for rule in contract.quality)
    allowed = {column.name: list(column.allowed_values) for column in contract.columns}
    values = {name: list(islice(cycle(some), SIZE)) for name, some in (allowed | changes).items()}
    table = pa.table(
        {
            field.name: pa.array(values[field.name], field.type)
            for field in arrow_schema(contract, "all")
        }
    )
    return contract.model_copy(update={"quality": size}), table
