"""Data and lineage of the run: rows, contract, splits, steps, inputs and outputs."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.splits import META_FILE, SPLITS, SplitMeta, read_split_meta
from sashiko.pipeline.project import SELECTION_FILE
from sashiko.pipeline.runner.run_record import StepRecord
from sashiko.registry.versions import MARKDOWN_FILE
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.views import Cell, Fact, RowStyle, Section, Table, numeric, row
from sashiko.report.words import duration, percent

_FACETS = "SnapshotFacets"
_SNAPSHOTS = {"Snapshot": "what training sees", _FACETS: "the bias steps, and nobody else"}
_USES = {
    "none": "may be trained on",
    "sensitive": "for measuring bias and making reweighing weights; no training column",
    "pii": "personal data; no step reads it",
}


def data_section(evidence: Evidence) -> Section:
    """Describes snapshots, contract, columns and splits."""
    meta = evidence.read("Prepare", "meta", META_FILE, lambda path: read_split_meta(path.parent))
    contract, title = evidence.contract, "Columns and who may use them"
    if isinstance(contract, Missing):
        columns = Table(title, absent=f"The contract cannot be shown: {contract.why}")
        return Section("data", "Data", tables=(_splits(meta), columns))
    facets = {facet.column: "facet; " for facet in contract.facets}
    own_uses = {contract.label.column: "label", contract.key: "key; joins the views"}
    rows = []
    for column in contract.columns:
        kind = column.classification
        use = own_uses.get(column.name) or facets.get(column.name, "") + _USES[kind]
        meaning = " ".join(column.description.split())
        rows.append(row(column.name, column.logical_type, kind, use, meaning))
    columns = Table(title, ("column", "type", "class", "use", "meaning"), tuple(rows), folded=True)
    label, others = contract.label, " or ".join(contract.classes[: contract.first_favourable])
    favourable = " or ".join(label.favourable)
    outcomes = f"a number; {favourable} is favourable" if contract.is_number else ""
    return Section(
        anchor="data",
        title="Data",
        statements=(" ".join(contract.description.split()),),
        facts=(
            Fact("contract", contract.title),
            Fact("label", f"{label.column}: {outcomes or f'{favourable} (positive) or {others}'}"),
            Fact("facets judged for bias", ", ".join(facets) or "none: bias is not judged"),
            Fact("split", _split_words(contract.split, meta)),
        ),
        tables=(_splits(meta), *_class_tables(meta), columns),
    )


def _split_words(split: TimeSplit | TextHashSplit, meta: SplitMeta | Missing) -> str:
    if isinstance(split, TextHashSplit):
        return (
            f"by a hash of the normalised text: {split.validation_share:.0%} validation, "
            f"{split.test_share:.0%} test"
        )
    if not split.test_days:
        dates = f"validation from {split.validation_from}, test from {split.test_from}"
        return f"by time ({split.column}): {dates}"
    words = (
        f"by time ({split.column}): the {split.test_days} days up to the newest row are for "
        f"testing, the {split.validation_days} before them for validation"
    )
    return words if isinstance(meta, Missing) or meta.dates is None else f"{words}: {meta.dates}"


def snapshots(evidence: Evidence) -> Table:
    """Lists the views that the run read, with the digest of each."""
    rows, reasons = [], []
    for step, use in _SNAPSHOTS.items():
        if step == _FACETS and bias_not_judged(evidence):
            continue
        manifest = evidence.manifest(step)
        if isinstance(manifest, Missing):
            reasons.append(manifest.why)
        else:
            columns = ", ".join(column.name for column in manifest.columns)
            sha256 = Cell(manifest.sha256, code=True)
            rows.append(row(manifest.view, manifest.rows, columns, use, sha256))
    return Table(
        title="Snapshots",
        columns=("view", "rows", "columns", "for", "sha256 of the data"),
        rows=tuple(rows),
        note=" ".join(reasons) if rows else "",
        absent="" if rows else f"No snapshot. {' '.join(reasons)}",
    )


def _splits(meta: SplitMeta | Missing) -> Table:
    if isinstance(meta, Missing):
        return Table("Splits", absent=f"No splits. {meta.why}")
    rows = []
    for name in SPLITS:
        if split := meta.splits.get(name):
            positive, dropped = percent(split.positive_rate), meta.removed_repeats.get(name, 0)
            contradicting = split.contradicting_rows
            rows.append(row(name, split.rows, numeric(positive), dropped, contradicting))
    favourable = " or ".join(meta.labels[meta.first_favourable :])
    several = "both" if len(meta.labels) == 2 else "several"
    counts = (f"labelled {favourable}", "dropped as repeats", f"same text, {several} labels")
    note = (
        f"The text is made of: {', '.join(meta.columns)}. A row of validation or test is dropped "
        "when an earlier split has its text, so that no text is both learned and judged."
    )
    if meta.removed_over_limit:
        note += f" {meta.removed_over_limit:,} rows exceed the recipe's limits and are not used."
    return Table("Splits", ("split", "rows", *counts), tuple(rows), note=note)


def _class_tables(meta: SplitMeta | Missing) -> Iterator[Table]:
    """Counts the rows of each of more than two classes."""
    if isinstance(meta, Missing) or len(meta.labels) == 2:
        return
    splits = [name for name in SPLITS if name in meta.splits]
    counts = zip(*(meta.splits[name].class_rows for name in splits), strict=True)
    rows = [row(name, *of_class) for name, of_class in zip(meta.labels, counts, strict=True)]
    yield Table("Rows of each class", ("class", *splits), tuple(rows))


State = Literal["ran", "cached", "failed", "blocked", "passed", "interrupted", "not reached"]
_STATES: dict[str, State] = {
    "succeeded": "ran", "cached": "cached", "failed": "failed", "blocked": "blocked",
    "running": "interrupted", "interrupted": "interrupted",
}  # fmt: skip


def lineage_section(evidence: Evidence) -> Section:
    """Lists the steps of the run and the data between them, with digests."""
    run = evidence.run
    counts = Counter(_state(step) for step in run.steps if step.type in ("Processing", "Training"))
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    started = f"{datetime.fromisoformat(run.start):%d %B %Y, %H:%M} UTC"
    took = [] if run.seconds is None else [Fact("took", duration(run.seconds))]
    if cached := {step.cached_from for step in run.steps if step.cached_from}:
        took.append(Fact("cached results are of", ", ".join(sorted(cached))))
    data = [
        row(step.name, way, name, Cell(data.uri, code=True), Cell(data.sha256, code=True))
        for step in run.steps
        for way, items in (("in", step.inputs), ("out", step.outputs))
        for name, data in sorted(items.items())
    ]
    return Section(
        anchor="lineage",
        title="Lineage",
        statements=(
            f"Steps of this run: {summary}. A cached step's result is that of an earlier run with "
            "the same code, configuration and inputs.",
        ),
        facts=(Fact("pipeline", run.pipeline), Fact("started", started), *took),
        tables=(
            _steps(evidence),
            Table(
                title="Inputs and outputs",
                columns=("step", "way", "name", "where", "sha256"),
                rows=tuple(data),
                absent="" if data else "No step has read or written anything.",
                folded=True,
            ),
        ),
    )


def settings_section(evidence: Evidence) -> Section:
    """Shows commit, digests, the pipeline's parameters and the files that the run was made from."""
    parameters, folder = sorted(evidence.run.parameters.items()), evidence.folder / "evidence"
    texts = [
        ("Recipe as used", _text(folder / "recipe.yaml")),
        ("Data contract", _text(folder / "contract.odcs.yaml")),
    ]
    if (selection := folder / SELECTION_FILE).is_file():
        texts.append(("Selection that chose this recipe", _text(selection)))
    card = evidence.read("Register", "registration", MARKDOWN_FILE, Path.read_text)
    texts.append(("The model card, in Markdown", card.why if isinstance(card, Missing) else card))
    source = evidence.source
    commit = f"not known: {source.why}" if isinstance(source, Missing) else source.git_sha
    if not isinstance(source, Missing) and source.dirty:
        commit += " with uncommitted changes"
    return Section(
        anchor="settings",
        title="Environment and settings",
        facts=(
            Fact("command", evidence.run.command, code=True),
            Fact("commit", commit, code=True),
            *(
                ()
                if isinstance(evidence.contract, Missing)
                else [Fact("contract sha256", evidence.contract.sha256, code=True)]
            ),
            *(Fact(name, str(value), code=True) for name, value in parameters if value != ""),
        ),
        tables=(snapshots(evidence),),
        texts=tuple(texts),
    )


def _text(path: Path) -> str:
    if not path.is_file():
        return f"{path.name} is not in the run's folder."
    return path.read_text(encoding="utf-8", errors="replace")


def _state(record: StepRecord | None) -> State:
    return _STATES.get(record.status, "not reached") if record else "not reached"


def _steps(evidence: Evidence) -> Table:
    """Lists the steps with their states and seconds; a gate decides and does not compute."""
    if isinstance(evidence.definition, Missing):
        return Table("Steps", absent=f"No list of steps: {evidence.definition.why}")
    rows = []
    for step in evidence.definition.steps:
        record = evidence.step(step.name)
        state = _state(record)
        if step.type == "Lambda" and state == "ran":
            state = "passed"
        took = "" if record is None or record.seconds is None else duration(record.seconds)
        style: RowStyle = "failed" if state in ("blocked", "failed") else ""
        rows.append(row(step.name, state, numeric(took), style=style))
    return Table("Steps", ("step", "state", "took"), tuple(rows))
