"""Tables that violate a contract's rules one by one, and tables at the limits of the rules.

They are derived from the expectations, not from the DQDL under test. Rules of different columns are
independent, so one table changes every column at once.
"""

import datetime as dt
import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pyarrow as pa

from sashiko.contract import rule_table as kinds
from sashiko.contract.model import Contract
from sashiko.contract.rules import Expectation, expectations

_SHARES = (kinds.NON_NULL_SHARE, kinds.UNIQUE_SHARE)


def tables(contract: Contract, good: pa.Table) -> Iterator[pa.Table]:
    """Yields the good table and its variants.

    Adjacent columns have different cases, so that a rule on the wrong column gives another result.
    """
    yield good
    items = expectations(contract, "all")
    names = good.column_names
    cases = [
        list(_columns(good[name], [item for item in items if item.arguments.get("column") == name]))
        for name in names
    ]
    longest = max(map(len, cases))
    for turn in range(longest):
        row = {name: good[name] for name in names}
        for shift, (name, changed) in enumerate(zip(names, cases, strict=True)):
            case = (turn + shift) % longest
            row[name] = changed[case] if case < len(changed) else good[name]
        yield pa.table(row)
    yield from _whole_tables(good, items)


def _whole_tables(good: pa.Table, items: tuple[Expectation, ...]) -> Iterator[pa.Table]:
    """Sizes around each bound, and columns of another number or name; the last row comes twice."""
    ends = [(item, *end) for item in items if item.kind == kinds.ROWS for end in _ends(item)]
    sizes = {_past(*end) for end in ends} | {_inside(end, sign) for _, end, sign in ends}
    last = good.column_names[-1]
    others = (
        lambda table: table.append_column("shoe_size", table[0]),
        lambda table: table.drop_columns([last]),
        lambda table: table.rename_columns([*table.column_names[:-1], "shoe_size"]),
    )
    for size, other in zip_longest(sorted(sizes - {good.num_rows}), others):
        repeated = pa.concat_tables([good] * 2).slice(0, size or good.num_rows)
        table = pa.concat_tables([repeated.slice(1), repeated.slice(repeated.num_rows - 1)])
        yield other(table) if other else table


def _columns(column: pa.ChunkedArray, items: list[Expectation]) -> Iterator[pa.Array]:
    good = column.to_pylist()

    def having(*cells: Any) -> pa.Array:
        """Puts cells at the end of the good column: the first cell is often what is repeated."""
        return pa.array([*good[: len(good) - len(cells)], *cells], column.type)

    kept = [cell for item in items for cell in _kept(item)]
    yield having(*kept[: len(good) - 2], None)
    broken = [_broken(item, good) for item in items]
    # Of each rule one cell at a time: a cell beside it that breaks the rule anyway would hide it.
    for cells in zip_longest(*broken, fillvalue=good[-1]):
        yield having(*dict.fromkeys(cell for cell in cells if cell != good[-1]))
    many = [values for item in items for values in _many(item, good)]
    for number, values in enumerate(many):
        if values not in many[:number]:
            yield pa.array(values, column.type)


def _kept(item: Expectation) -> list[Any]:
    """Cells that an expectation just allows."""
    ends = _ends(item)
    if item.kind == kinds.BETWEEN:
        return [_inside(end, sign) if _strict(item) else end for end, sign in ends]
    return ["x" * end for end, _ in ends] if item.kind == kinds.LENGTH else []


def _broken(item: Expectation, good: list[Any]) -> list[Any]:
    """Cells that an expectation refuses, or that one of two readings of it would."""
    known = next(value for value in good if value is not None)
    if item.kind == kinds.BETWEEN:
        return [_past(item, end, sign) for end, sign in _ends(item)]
    if item.kind == kinds.LENGTH:
        return [*("x" * (end - sign) for end, sign in _ends(item)), ""]
    if item.kind == kinds.IN_SET and not isinstance(known, str):
        return [max(item.arguments["value_set"]) + 1]
    cells = {
        kinds.UNIQUE: [known],
        kinds.IN_SET: ["", f"{known} "],
        kinds.NOT_IN_SET: list(item.arguments.get("value_set", [])),
        # The last one's end is white to Python, and to Java by `(?U)` alone.
        kinds.REGEX: ["", f"!{known}", f"{known}!", f"{known}\n", f"{known}\u00a0"],
    }
    return cells.get(item.kind, [])


def _many(item: Expectation, good: list[Any]) -> Iterator[list[Any]]:
    """Columns that meet a share exactly, and that miss it by one; times around the newest one."""
    if item.kind == kinds.MAXIMUM:
        for end, sign in _ends(item):
            yield [end] * len(good)
            yield [_inside(end, -sign)] * len(good)
        return
    share = item.arguments.get("mostly", item.arguments.get("min_value"))
    if item.kind not in _SHARES and "mostly" not in item.arguments:
        return
    allowed = math.floor((1 - share) * len(good) + 1e-9)
    known = next(value for value in good if value is not None)
    full = [known if value is None else value for value in good]
    if item.kind == kinds.UNIQUE_SHARE:
        full = [known + number / 64 for number in range(len(good))]
    bad = {kinds.NON_NULL_SHARE: None, kinds.UNIQUE_SHARE: full[-1]}.get(item.kind, "!")
    for count in (allowed, allowed + 1):
        yield [*[bad] * count, *full[count:]]


def _ends(item: Expectation) -> list[tuple[Any, int]]:
    """Returns each end of an interval with the direction to its inside."""
    ends = [(item.arguments.get("min_value"), 1), (item.arguments.get("max_value"), -1)]
    return [(end, sign) for end, sign in ends if end is not None]


def _past(item: Expectation, end: Any, sign: int) -> Any:
    return end if _strict(item) else _inside(end, -sign)


def _strict(item: Expectation) -> bool:
    return "strict_min" in item.arguments or "strict_max" in item.arguments


def _inside(end: Any, sign: int) -> Any:
    if not isinstance(end, dt.datetime):
        return end + sign
    return end + sign * dt.timedelta(microseconds=1, days=0 if end.tzinfo else 1)
