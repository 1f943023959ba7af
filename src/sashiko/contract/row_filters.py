"""Validation of a contract's row filters: readers, columns and conditions."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sashiko.contract.columns import LogicalType
from sashiko.contract.grants import READS, may_read
from sashiko.contract.model import Contract, Reader, RowFilter, View

_TOKEN = re.compile(
    r"\s*(?:'(?:[^']|'')*'|(?P<word>[A-Za-z_]\w*)|-?\d+(?:\.\d+)?|<>|!=|[<>]=?|[=(),])"
)
# Keywords of Lake Formation's conditions.
_WORDS = frozenset(
    {
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "like",
        "between",
        "true",
        "false",
        "date",
        "timestamp",
    }
)
_TYPES: Mapping[LogicalType, str] = MappingProxyType(
    {
        "string": "VARCHAR",
        "integer": "BIGINT",
        "number": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMPTZ",
    }
)
# Both snapshots must have the same keys, so both of their roles must see the same rows.
_VIEWS: Mapping[Reader, View] = MappingProxyType({"broker": "training", "bias-evaluator": "facets"})


def row_filter_problems(contract: Contract) -> Iterator[str]:
    """Yields the problems of the row filters, with key and what to do."""
    counts = Counter(item.persona for item in contract.row_filters)
    for persona, count in counts.items():
        if count > 1:
            yield f"key `rowFilters`: {persona} has {count}; join them by OR into one"
    conditions = {item.persona: item.filter.strip() for item in contract.row_filters}
    if len({conditions.get(persona) for persona in _VIEWS}) > 1:
        yield (
            "key `rowFilters`: broker and bias-evaluator take snapshots of the same rows; "
            "give both the same `filter`, or neither one"
        )
    for item in contract.row_filters:
        place = f"key `rowFilters`: persona {item.persona}:"
        yield from (f"{place} {problem}" for problem in _column_problems(contract, item))
        problems = list(_syntax_problems(contract, item))
        yield from (
            f"{place} {problem}" for problem in problems or _binding_problems(contract, item)
        )


def _column_problems(contract: Contract, item: RowFilter) -> Iterator[str]:
    known = {column.name: column for column in contract.columns}
    for name in item.columns:
        if name not in known:
            yield f"no column `{name}`; the columns are {', '.join(known)}"
        elif not may_read(item.persona, known[name]):
            allowed = " or ".join(READS[item.persona])
            yield (
                f"column `{name}` is {known[name].classification}; it may read {allowed}, "
                "so remove it from `columns`"
            )
    if item.persona in _VIEWS:
        view = contract.view_columns(_VIEWS[item.persona])
        missing = [column.name for column in view if column.name not in item.columns]
        if missing:
            yield f"its snapshot needs {', '.join(missing)} as well; add to `columns`"


def _syntax_problems(contract: Contract, item: RowFilter) -> Iterator[str]:
    """Checks the condition's tokens; Lake Formation would report errors only at deployment."""
    known = {column.name: column for column in contract.columns}
    position, text = 0, item.filter.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            rest = text[position:].strip()
            yield f"key `filter`: cannot read {rest!r}; compare columns with values"
            return
        position = token.end()
        name = token["word"]
        if name is None or name.lower() in _WORDS:
            continue
        if name not in known:
            yield f"key `filter`: no column `{name}`; the columns are {', '.join(known)}"
        elif known[name].classification == "pii":
            yield (
                f"key `filter`: column `{name}` is pii, and the visible rows would reveal it; "
                "use another column"
            )


def _binding_problems(contract: Contract, item: RowFilter) -> Iterator[str]:
    """Lets DuckDB bind the condition to the columns' types, which finds semantic errors."""
    import duckdb

    columns = ", ".join(
        f"{column.name} {_TYPES[column.logical_type]}" for column in contract.columns
    )
    # A column may have the name of a function, even one that reads files.
    with duckdb.connect(config={"enable_external_access": "false"}) as engine:
        engine.execute(f"CREATE TABLE rows ({columns}); INSERT INTO rows DEFAULT VALUES")
        try:
            engine.execute(
                f"SELECT 1 FROM rows WHERE {item.filter}"  # noqa: S608 - `_syntax_problems` allows only columns, values and comparisons
            )
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            yield f"key `filter`: {item.filter!r} is not a valid condition: {first}"
