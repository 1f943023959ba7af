"""Consistency of the parts of a contract, each of which is valid alone."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from sashiko.contract.grants import READS, may_read
from sashiko.contract.model import (
    MOST_CLASSES,
    Column,
    Contract,
    Label,
    LogicalType,
    Reader,
    TimeSplit,
    View,
)
from sashiko.contract.rule_expectations import expectations
from sashiko.contract.text_form import column_form
from sashiko.errors import InputError

_TOKEN = re.compile(
    r"\s*(?:'(?:[^']|'')*'|(?P<word>[A-Za-z_]\w*)|-?\d+(?:\.\d+)?|<>|!=|[<>]=?|[=(),])"
)
# Keywords of Lake Formation's conditions.
_WORDS = frozenset({
    "and", "or", "not", "in", "is", "null", "like", "between", "true", "false", "date", "timestamp",
})  # fmt: skip
_TYPES: Mapping[LogicalType, str] = {
    "string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN",
    "date": "DATE", "timestamp": "TIMESTAMPTZ",
}  # fmt: skip
# Both snapshots must have the same keys, so both of their roles must see the same rows.
_VIEWS: Mapping[Reader, View] = {"broker": "training", "bias-evaluator": "facets"}


def _row_filter_problems(contract: Contract) -> Iterator[str]:
    known = {column.name: column for column in contract.columns}
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
        for name in item.columns:
            if name not in known:
                yield f"{place} no column `{name}`; the columns are {', '.join(known)}"
            elif not may_read(item.persona, known[name]):
                allowed = " or ".join(READS[item.persona])
                yield (
                    f"{place} column `{name}` is {known[name].classification}, but the persona "
                    f"may read only columns of classification {allowed}: remove it from `columns`"
                )
        if item.persona in _VIEWS:
            needed = [column.name for column in contract.view_columns(_VIEWS[item.persona])]
            if missing := [name for name in needed if name not in item.columns]:
                yield f"{place} its snapshot needs {', '.join(missing)} as well; add to `columns`"
        problems = [*_syntax_problems(item.filter.strip(), known)]
        if not problems:
            problems = [*_binding_problems(item.filter, known)]
        yield from (f"{place} key `filter`: {problem}" for problem in problems)


def _syntax_problems(text: str, known: Mapping[str, Column]) -> Iterator[str]:
    """Checks the condition's tokens; Lake Formation would report errors only at deployment."""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            yield f"cannot read {text[position:].strip()!r}; compare columns with values"
            return
        position = token.end()
        name = token["word"]
        if name is None or name.lower() in _WORDS:
            continue
        if name not in known:
            yield f"no column `{name}`; the columns are {', '.join(known)}"
        elif known[name].classification == "pii":
            why = "is pii, and the visible rows would reveal it; use another column"
            yield f"column `{name}` {why}"


def _binding_problems(condition: str, known: Mapping[str, Column]) -> Iterator[str]:
    """Lets DuckDB bind the condition to the columns' types, which finds semantic errors."""
    import duckdb

    columns = ", ".join(f"{name} {_TYPES[item.logical_type]}" for name, item in known.items())
    # A column may have the name of a function, even one that reads files.
    with duckdb.connect(config={"enable_external_access": "false"}) as engine:
        engine.execute(f"CREATE TABLE rows ({columns}); INSERT INTO rows DEFAULT VALUES")
        try:
            engine.execute(
                f"SELECT 1 FROM rows WHERE {condition}"  # noqa: S608 - `_syntax_problems` allows only columns, values and comparisons
            )
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            yield f"{condition!r} is not a valid condition: {first}"


def contradictions(contract: Contract) -> list[str]:
    """Returns a line per contradiction, with column, key and what to do."""
    structural = [*_names(contract), *_unknown_columns(contract)]
    if structural:
        return structural
    problems = [
        *_key_and_label(contract),
        *_split_and_text(contract),
        *_ingest(contract),
        *_formats(contract),
        *_facets(contract),
        *_group_variable(contract),
        *_row_filter_problems(contract),
        *_existing_table_problems(contract),
    ]
    try:
        expectations(contract, "all")
    except InputError as error:
        problems += str(error).splitlines()
    return problems


def _names(contract: Contract) -> Iterator[str]:
    for kind in ("name", "physical_name"):
        counts = Counter(getattr(column, kind) for column in contract.columns)
        for name, count in counts.items():
            if count > 1:
                yield f"column `{name}`: {count} columns have this {kind}; names must differ"
    keys = [column.name for column in contract.columns if column.primary_key]
    if len(keys) != 1:
        columns = ", ".join(keys) or "none"
        yield f"key `primaryKey`: exactly one column must have `primaryKey: true`, found {columns}"
    facets = Counter(facet.column for facet in contract.facets)
    for name, count in facets.items():
        if count > 1:
            yield f"key `facets`: column `{name}` is named {count} times"


def _unknown_columns(contract: Contract) -> Iterator[str]:
    split, freshness = contract.split, contract.freshness
    references = [
        ("label", contract.label.column),
        *(("facets", facet.column) for facet in contract.facets),
        ("groupVariable", contract.group_variable),
        *(("textColumns", name) for name in contract.text_columns),
        ("split", split.column if isinstance(split, TimeSplit) else None),
        ("ingest", contract.ingest.row_number),
        ("slaProperties", freshness.column if freshness else None),
        *(("quality", name) for rule in contract.quality for name in rule.properties),
    ]
    known = [column.name for column in contract.columns]
    for key, name in references:
        if name is not None and name not in known:
            yield f"key `{key}`: no column `{name}`; the columns are {', '.join(known)}"


def _key_and_label(contract: Contract) -> Iterator[str]:
    key = contract.column(contract.key)
    if key.classification != "none":
        yield f"column `{key.name}`: the key is in every view, so its classification must be none"
    if key.logical_type not in ("string", "integer"):
        yield f"column `{key.name}`: the key's logicalType must be string or integer"
    label = contract.label
    column = contract.column(label.column)
    if column.classification != "none":
        yield f"column `{column.name}`: the label is trained on, so classification must be none"
    if label.above is not None:
        yield from _number_problems(column, label.above)
        return
    if column.logical_type != "string" or not column.required:
        yield f"column `{column.name}`: the label must have `logicalType: string, required: true`"
    yield from _class_problems(column, label)


def _number_problems(column: Column, above: float) -> Iterator[str]:
    """Checks a label that is a number, and that its column's limits allow both outcomes."""
    place = f"column `{column.name}`:"
    if column.logical_type not in ("integer", "number") or not column.required:
        yield (
            f"{place} a label of `kind: number` must have `logicalType: integer` or `number`, "
            "and `required: true`"
        )
        return
    if column.allowed_values:
        yield f"{place} `enum`: a label of `kind: number` lists no values; remove it"
    highs = (column.options.maximum, column.options.exclusiveMaximum)
    low, open_low = column.options.minimum, column.options.exclusiveMinimum
    if any(isinstance(high, int | float) and high <= above for high in highs):
        yield f"{place} its maximum leaves no value above {above:.15g}; move `favourable.above`"
    if (isinstance(low, int | float) and low > above) or (
        isinstance(open_low, int | float) and open_low >= above
    ):
        yield f"{place} its minimum leaves no value at most {above:.15g}; move `favourable.above`"


def _class_problems(column: Column, label: Label) -> list[str]:
    """Checks the classes, which are the values of the label's column."""
    values, place = column.allowed_values, f"column `{column.name}`: `enum`"
    if others := [value for value in values if not isinstance(value, str)]:
        texts = ", ".join(str(value).lower() for value in others)
        hint = f"YAML did not read {texts} there as text: put quotes around it, such as "
        return [f"{place} must list the label's classes; {hint}'yes' or '1'"]
    older = (label.negative, label.positive)
    if None not in older and (set(values) != set(older) or len(set(older)) == 1):
        return [
            f"{place} must hold exactly the label's two values, {label.positive!r} and "
            f"{label.negative!r}; of more classes name the good ones under `favourable`, and "
            "remove `positive` and `negative`"
        ]
    problems = []
    if len(values) < 2 or len(values) > MOST_CLASSES:
        problems.append(
            f"{place} lists {len(values)} classes; a label needs at least 2 and at most "
            f"{MOST_CLASSES}: list them all, or join rare ones in the data"
        )
    repeats = [value for value, count in Counter(values).items() if count > 1]
    repeats += [value for value, count in Counter(label.favourable).items() if count > 1]
    problems += [f"column `{column.name}`: class {value!r} is listed twice" for value in repeats]
    key, unknown = "key `label.favourable`:", [v for v in label.favourable if v not in values]
    classes = ", ".join(repr(value) for value in values)
    if not label.favourable:
        problems.append(f"{key} name one or more of the classes {classes}, but not all of them")
    elif unknown:
        names = ", ".join(repr(value) for value in unknown)
        problems.append(f"{key} {names} is in no `enum` of `{column.name}`: {classes}")
    elif len(set(label.favourable)) == len(set(values)):
        problems.append(f"{key} names all classes: leave out those that are no good outcome")
    return problems


def _facets(contract: Contract) -> Iterator[str]:
    for facet in contract.facets:
        column = contract.column(facet.column)
        key = f"key `facets`: column `{column.name}`"
        if column.classification != "sensitive":
            yield (
                f"column `{column.name}`: key `classification`: a facet must be `sensitive`, not "
                f"`{column.classification}`: use another column, or change its classification"
            )
        missing = [value for value in facet.disadvantaged if value not in column.allowed_values]
        if column.logical_type != "string" or not column.required or not column.allowed_values:
            yield (
                f"column `{column.name}`: a facet needs `logicalType: string`, `required: true` "
                "and an `enum`; give rows of unknown group their own value"
            )
        elif missing:
            yield f"{key} has no value {', '.join(missing)} in its `enum`"
        elif len(set(facet.disadvantaged)) == len(column.allowed_values):
            yield f"{key} leaves no group to compare with"
        ours, theirs = ({pair[side].casefold() for pair in facet.words} for side in (0, 1))
        for word in sorted(ours & theirs):
            yield (
                f"{key}: `words` uses {word!r} for both groups; in each pair the first word must "
                f"be of {', '.join(facet.disadvantaged)}, the second of the others"
            )


def _group_variable(contract: Contract) -> Iterator[str]:
    if contract.group_variable is None:
        return
    column = contract.column(contract.group_variable)
    facets = [facet.column for facet in contract.facets]
    if column.name in (contract.key, contract.label.column, *facets):
        yield (
            f"key `groupVariable`: `{column.name}` is the key, the label or a facet; name a column "
            "that may explain why groups differ"
        )
    if column.classification == "pii":
        yield f"column `{column.name}`: a group variable must be `none` or `sensitive`, not `pii`"
    if column.logical_type != "string" or not column.required or not column.allowed_values:
        yield (
            f"column `{column.name}`: a group variable needs `logicalType: string`, "
            "`required: true` and an `enum`"
        )


def _split_and_text(contract: Contract) -> Iterator[str]:
    split = contract.split
    if isinstance(split, TimeSplit):
        column = contract.column(split.column)
        if column.logical_type not in ("date", "timestamp") or not column.required:
            yield f"column `{column.name}`: a split by time needs a required date or timestamp"
        if column.classification != "none":
            yield f"column `{column.name}`: a split by time needs classification none"
        first, last = split.validation_from, split.test_from
        if first and last and first >= last:
            yield "key `split`: validation_from must lie before test_from"
    elif split.validation_share + split.test_share >= 1:
        yield "key `split`: validation_share and test_share leave nothing to train on"
    for name in contract.text_columns:
        column = contract.column(name)
        if column.classification != "none":
            yield f"column `{name}`: key `textColumns`: a text may use classification none only"
        if name in (contract.key, contract.label.column):
            yield f"column `{name}`: key `textColumns`: neither key nor label may be in the text"
    for leak in contract.accepted_leaks:
        if leak.column not in contract.text_columns:
            yield (
                f"key `acceptedLeaks`: `{leak.column}` is not one of the `textColumns`: remove it"
            )


def _existing_table_problems(contract: Contract) -> Iterator[str]:
    if contract.lake and contract.row_filters:
        yield "key `rowFilters`: who sees which rows of the table of `lake` is its owner's to grant"
    if contract.lake and contract.ingest.row_number:
        yield "key `ingest.row_number`: the table of `lake` has no row numbers; use a column of it"


def _formats(contract: Contract) -> Iterator[str]:
    for column in contract.columns:
        key = f"column `{column.name}`: key `logicalTypeOptions.format`"
        if column.options.format is None:
            continue
        if column.logical_type not in ("date", "timestamp"):
            yield f"{key}: only a date or a timestamp has a format; remove the key"
            continue
        try:
            form = column_form(column, contract.ingest)
        except ValueError as error:
            yield f"{key}: {error}"
            continue
        has_time = form is not None and ":" in form.replacements[0][1]
        if has_time and column.logical_type == "date":
            yield f"{key}: it has a time, so `logicalType` must be timestamp"


def _ingest(contract: Contract) -> Iterator[str]:
    name = contract.ingest.row_number
    if name is not None and contract.column(name).logical_type != "integer":
        yield f"column `{name}`: a row number must have `logicalType: integer`"
    if contract.freshness:
        column = contract.column(contract.freshness.column)
        if column.logical_type not in ("date", "timestamp"):
            yield f"column `{column.name}`: latency needs a date or timestamp"
