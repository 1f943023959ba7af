"""The analysis of `sashiko data bias`, and its text output."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_tree, walk_files
from sashiko.base.parquet import positions, unique_keys
from sashiko.bias.clarify.analysis import CSV, Analysis, AnalysisConfig, StageResult
from sashiko.bias.clarify.contract_config import (
    MOST_COMBINATIONS,
    PREDICTED_LABEL,
    analysis_config,
    combination_count,
    intersections,
)
from sashiko.bias.clarify.counting import Column, Dataset, count_groups, same
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks, small_groups_reason
from sashiko.bias.gates.estimates import (
    REPORTED_METRICS,
    BiasEstimate,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.bias.metrics.bias_table import METRICS, Stage
from sashiko.bias.steps.bias_estimates import analyse_stage, estimate_bias, estimate_by_class
from sashiko.bias.steps.clarify_bias import analyse
from sashiko.bias.steps.judge_bias import check_gates
from sashiko.contract.derive import outcomes
from sashiko.contract.model import Contract
from sashiko.data.ingest import raw_batches, typed_columns
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, decide
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasSection


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column as strings, an empty one as null."""
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


SEEN = "label seen by the run"
_RUN_COLUMNS = {"key", "split", "label", "predicted"}


def read_predictions(path: Path, contract: Contract, *, column: str | None) -> pa.Table:
    """Reads a CSV or Parquet file with the key and a prediction for each row to be judged.

    Predictions are in `column`; in `predicted_label` or `predicted` if None.
    A run's own file holds the labels that it saw and a column `split`; of it the rows of the test
    split are taken that are answered.

    Returns:
        The contract's key; `predicted_label`, a label of the contract, or a number's outcome at its
        bound; and `SEEN`, likewise, where the file is a run's.

    Raises:
        InputError: if the file cannot be read or lacks a column, or a prediction is no label or
            number, as the contract wants.
    """
    table = pa.Table.from_batches(raw_batches(path))
    from_a_run = set(table.column_names) >= _RUN_COLUMNS
    if from_a_run:
        table = table.filter(pc.equal(table["split"], "test"))
        if "answered" in table.column_names:
            table = table.filter(pc.is_in(table["answered"], pa.array([True])))
        if not table.num_rows:
            raise InputError(f"{path} is of a run and has no rows of split `test`")
        print(f"{path} comes from a run: its rows of split `test` are used", file=sys.stderr)
    key = _column(table, path, [contract.key, contract.column(contract.key).physical_name, "key"])
    name = _column(table, path, [column] if column else [PREDICTED_LABEL, "predicted"])
    texts = as_text(table[name])
    if texts.null_count or pc.any(pc.is_in(texts, pa.array(["nan", "NaN"]))).as_py():
        raise InputError(f"{path}: column `{name}` has empty values; a row needs a prediction")
    raw = Column(name, texts, path)
    if contract.is_number and not (from_a_run and name == "predicted"):
        predicted = _at_bound(raw, contract)
    else:
        predicted = _labels(raw, contract, coded=from_a_run)
    columns = {contract.key: table[key].cast(pa.string()), PREDICTED_LABEL: predicted}
    if from_a_run:
        seen = Column("label", table["label"].cast(pa.string()), path)
        columns[SEEN] = _labels(seen, contract, coded=True)
    return pa.table(columns)


def _column(table: pa.Table, path: Path, names: Sequence[str]) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise InputError(
        f"{path} has no column `{'` or `'.join(dict.fromkeys(names))}`; it has "
        f"{', '.join(table.column_names)}"
    )


def _labels(column: Column, contract: Contract, *, coded: bool) -> pa.ChunkedArray:
    """Turns predictions into the contract's labels; coded ones are the indices of its classes."""
    classes, mapping = contract.classes, {}
    for text in pc.unique(column.values).to_pylist():
        places = range(len(classes) if coded or len(classes) == 2 else 0)
        index = next((place for place in places if same(text, place)), None)
        if not coded and text in classes:
            mapping[text] = text
        elif index is not None:
            mapping[text] = classes[index]
        else:
            codes = ""
            if len(classes) == 2:
                codes = ", nor 1 or 0; of probabilities give those above your threshold as 1"
            raise InputError(
                f"{column.file}: column `{column.name}` has {text!r}, which is no label of the "
                f"contract ({', '.join(classes)}){codes}"
            )
    places = pc.index_in(column.values, value_set=pa.array(list(mapping), pa.string()))
    return pc.take(pa.array(list(mapping.values()), pa.string()), places)


def _at_bound(column: Column, contract: Contract) -> pa.ChunkedArray:
    """Turns predicted numbers into their outcomes at the contract's bound."""
    try:
        return outcomes(column.values.cast(pa.float64()), contract)
    except pa.ArrowException as error:
        raise InputError(
            f"{column.file}: column `{column.name}` holds texts; name in --predicted-label the "
            "column of the predicted numbers"
        ) from error


_TITLES: tuple[tuple[Stage, str], ...] = (
    ("pre_training", "of the labels"),
    ("post_training", "of the predictions"),
)


def file_dataset(
    contract: Contract, data: Path, predictions_file: Path | None, *, column: str | None
) -> Dataset:
    """Reads label, facets and group variable of a file or folder, and joins the predictions.

    The file may have the contract's names or the physical ones. Where there are predictions, the
    rows that have one are analysed.

    Raises:
        InputError: if a file cannot be read or lacks a column, a label is none of the contract, a
            prediction is no label or has no row in the data, or a key occurs twice.
    """
    label, group = contract.label, contract.group_variable
    facets = [facet.column for facet in contract.facets]
    needed = [*([contract.key] if predictions_file else []), label.column, *facets]
    needed += [] if group is None else [group]
    files = list(walk_files(data)) if data.is_dir() else [data]
    if not files:
        raise InputError(f"{data} has no file; give CSV or Parquet")
    table = pa.concat_tables(
        pa.Table.from_batches(typed_columns(file, contract, needed)) for file in files
    )
    rows = pa.table({name: as_text(table[name]) for name in needed})
    if contract.is_number:
        place = rows.column_names.index(label.column)
        rows = rows.set_column(place, label.column, outcomes(table[label.column], contract))
    labels, allowed = rows[label.column], list(contract.classes)
    invalid = labels.filter(pc.invert(pc.is_in(labels, pa.array(allowed))))
    if len(invalid):
        raise InputError(
            f"{data}: column `{label.column}` has {len(invalid)} labels of {len(labels)}, such as "
            f"{invalid[0].as_py()!r}, that are not of the contract: {' or '.join(allowed)}"
        )
    predicted = None
    if (path := predictions_file) is not None:
        predictions = read_predictions(path, contract, column=column)
        keys = unique_keys(rows, contract.key, source=data)
        predicted_keys = unique_keys(predictions, contract.key, source=path)
        rows = rows.take(positions(predicted_keys, keys, source=path, among_source=data))
        if SEEN in predictions.column_names:  # a run's file has the labels that it saw
            differs = pc.not_equal(predictions[SEEN], rows[label.column])
            if mismatches := pc.sum(differs).as_py():
                raise InputError(
                    f"{path}: {mismatches} labels of {len(rows)} differ from column "
                    f"`{label.column}` of {data}; both must be of the same data"
                )
        predicted = Column(PREDICTED_LABEL, predictions[PREDICTED_LABEL], path)
        print(
            f"{len(predicted_keys):,} of the {len(keys):,} rows of {data} have a prediction: these "
            "are analysed",
            file=sys.stderr,
        )
    return Dataset(
        label=Column(label.column, rows[label.column], data),
        predicted=predicted,
        facets=tuple(Column(name, rows[name], data) for name in facets),
        # Rows without one are compared with each other.
        group=None if group is None else Column(group, pc.fill_null(rows[group], ""), data),
    )


@dataclass(frozen=True)
class FileAnalysis:
    """The bias of a file."""

    analysis: Analysis  # what Clarify's `analysis.json` holds
    estimates: tuple[BiasEstimate, ...]  # the same metrics with intervals and group sizes
    # Of more than two classes, the predictions with each class in turn as the positive label.
    by_class: tuple[BiasEstimate, ...] = ()


def analyse_file(
    contract: Contract,
    data_file: Path,
    predictions: Path | None,
    *,
    column: str | None,
    section: BiasSection,
) -> FileAnalysis:
    """Analyses the label of a file by all facets of its contract: all metrics.

    Raises:
        InputError: as `file_dataset` does, or if the contract has no facets.
    """
    if not contract.facets:
        raise InputError(
            f"contract `{contract.id}` has no facets, so there is no group to compare; name a "
            "sensitive column under `facets`"
        )
    gated = [gate.facets for gate in section.gates]
    combinations = intersections(contract, depth=section.intersection_depth, gated=gated)
    count = combination_count(contract, combinations)
    if count > MOST_COMBINATIONS:  # a recipe with them is refused earlier
        section = section.model_copy(update={"intersection_depth": 1})
        print(
            f"the facets have {count:,} combinations of groups, more than {MOST_COMBINATIONS}: "
            "only the intersections that a gate names are computed",
            file=sys.stderr,
        )
    kinds = ["pre_training_bias", *(["post_training_bias"] if predictions else [])]
    config = AnalysisConfig.model_validate(
        {
            "dataset_type": CSV,
            "label": contract.label.column,
            "label_values_or_threshold": list(contract.classes[contract.first_favourable :]),
            "facet": analysis_config(contract, kind="post")["facet"],
            "methods": {kind: {"methods": "all"} for kind in kinds},
            **({"predicted_label": PREDICTED_LABEL} if predictions else {}),
        }
    )
    data = file_dataset(contract, data_file, predictions, column=column)
    counts = count_groups(config, data)
    analysis = analyse(config, counts)
    results: dict[Stage, StageResult | None] = {
        "pre_training": analysis.pre_training_bias_metrics,
        "post_training": analysis.post_training_bias_metrics,
    }
    stages = {
        stage: analyse_stage(contract, section, result, data=data, group_counts=counts)
        for stage, result in results.items()
        if result
    }
    by_class: tuple[BiasEstimate, ...] = ()
    if predictions and len(contract.classes) > 2:
        by_class = tuple(estimate_by_class(section, config, data, outcomes=contract.classes))
    return FileAnalysis(analysis, tuple(estimate_bias(section, stages)), by_class)


def file_verdict(
    analysis: FileAnalysis, contract: Contract, recipe: Recipe, *, inputs: dict[str, Path]
) -> Verdict:
    """Judges the predictions by a recipe's gates.

    Raises:
        InputError: if a gate is on no facet of the contract.
    """
    check_gates(recipe.bias, contract)
    threshold = None
    if len(contract.classes) == 2 and not contract.is_number:
        threshold = recipe.evaluate.threshold
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=threshold)
    return decide(
        gate="bias",
        checks=bias_checks(recipe.bias, analysis.estimates, mitigation),
        inputs={name: sha256_tree(path) for name, path in inputs.items()},
    )


def text(analysis: FileAnalysis, *, minimum_group_size: int) -> Iterator[str]:
    """Yields the lines of the text output: by group and metric, by class, then intersections."""
    single = [estimate for estimate in analysis.estimates if not estimate.is_intersection]
    for group in dict.fromkeys(estimate.subgroup for estimate in single):
        of_group = [item for item in single if item.subgroup == group]
        first = of_group[0]
        yield (f"{group}: {first.n_disadvantaged:,} rows against {first.n_advantaged:,} others")
        if warning := small_groups_reason(first, minimum_group_size):
            yield f"  {warning}"
        for stage, title in _TITLES:
            rows = [item for item in of_group if item.stage == stage]
            if rows:
                yield f"  {title}"
                yield from (f"    {_line(item)}" for item in rows)
        yield ""
    for outcome in dict.fromkeys(item.outcome for item in analysis.by_class):
        yield f"predicted {outcome!r}, against all other classes"
        rows = [item for item in analysis.by_class if item.outcome == outcome]
        for group in dict.fromkeys(item.subgroup for item in rows):
            yield f"  {group}"
            yield from (f"    {_line(item)}" for item in rows if item.subgroup == group)
    if compared := [item for item in analysis.by_class if comparable(item)]:
        yield f"the intervals of all {looks_text(compared)} hold at once"
        yield ""
    for stage, title in _TITLES:
        for metric in REPORTED_METRICS[stage]:
            rows = sort_worst_first(analysis.estimates, metric)
            if not rows:
                continue
            yield f"intersections {title}, the worst off by {metric} first"
            if compared := [item for item in rows if comparable(item)]:
                yield f"  the intervals of all {looks_text(compared)} hold at once"
            for item in rows:
                few = small_groups_reason(item, minimum_group_size)
                yield f"    {item.subgroup}, {item.n_disadvantaged:,} rows"
                yield f"      {few or _line(item)}"
            yield ""


def _line(item: BiasEstimate) -> str:
    name = f"{item.metric:<6}"
    if item.value is None:
        return f"{name}undefined: {item.error}"
    ends = "no interval" if item.low is None else f"[{item.low:.3f}, {item.high:.3f}]"
    return f"{name}{item.value:>7.3f}  {ends:<17} {METRICS[item.metric].description}"
