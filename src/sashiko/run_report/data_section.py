"""The data: rows, contract, and splits."""

from sashiko.contract.columns import Column
from sashiko.contract.manifest import Manifest
from sashiko.contract.model import Contract, TextHashSplit, TimeSplit
from sashiko.data.splits import META_FILE, SPLITS, SplitMeta, read_split_meta
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.views import Cell, Fact, Row, Section, Table, numeric, row
from sashiko.report.words import percent

_FACETS = "SnapshotFacets"
_SNAPSHOTS = {
    "Snapshot": "what training sees",
    _FACETS: "what judges bias, and nobody else",
}
_USES = {
    "none": "may be trained on",
    "sensitive": "for measuring bias and making reweighing weights; no training column",
    "pii": "personal data; no step reads it",
}


def data_section(evidence: Evidence) -> Section:
    """Describes snapshots, contract, columns and splits."""
    meta = evidence.read("Prepare", "meta", META_FILE, lambda path: read_split_meta(path.parent))
    return Section(
        anchor="data",
        title="Data",
        statements=_contract_texts(evidence.contract),
        facts=_contract_facts(evidence.contract, meta),
        tables=(_snapshots(evidence), _splits(meta), _columns(evidence)),
    )


def _contract_texts(contract: Contract | Missing) -> tuple[str, ...]:
    return () if isinstance(contract, Missing) else (" ".join(contract.description.split()),)


def _contract_facts(contract: Contract | Missing, meta: SplitMeta | Missing) -> tuple[Fact, ...]:
    if isinstance(contract, Missing):
        return ()
    facets = ", ".join(facet.column for facet in contract.facets) or "none: bias is not judged"
    label = contract.label
    return (
        Fact("contract", contract.title),
        Fact("contract sha256", contract.sha256, code=True),
        Fact("label", f"{label.column}: {label.positive} (positive) or {label.negative}"),
        Fact("facets judged for bias", facets),
        Fact("split", _split_words(contract.split, meta)),
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


def _snapshots(evidence: Evidence) -> Table:
    rows, reasons = [], []
    for step, use in _SNAPSHOTS.items():
        if step == _FACETS and bias_not_judged(evidence):
            continue
        manifest = evidence.manifest(step)
        if isinstance(manifest, Missing):
            reasons.append(manifest.why)
        else:
            rows.append(_snapshot_row(manifest, use))
    return Table(
        title="Snapshots",
        columns=("view", "rows", "columns", "for", "sha256 of the data"),
        rows=tuple(rows),
        note=" ".join(reasons) if rows else "",
        absent="" if rows else f"No snapshot. {' '.join(reasons)}",
    )


def _snapshot_row(manifest: Manifest, use: str) -> Row:
    columns = ", ".join(column.name for column in manifest.columns)
    return row(manifest.view, manifest.rows, columns, use, Cell(manifest.sha256, code=True))


def _splits(meta: SplitMeta | Missing) -> Table:
    title = "Splits"
    if isinstance(meta, Missing):
        return Table(title=title, absent=f"No splits. {meta.why}")
    rows = [
        row(
            name,
            meta.splits[name].rows,
            numeric(percent(meta.splits[name].positive_rate)),
            meta.removed_repeats.get(name, 0),
            meta.splits[name].contradicting_rows,
        )
        for name in SPLITS
        if name in meta.splits
    ]
    counts = (f"labelled {meta.labels[1]}", "dropped as repeats", "same text, both labels")
    return Table(title, ("split", "rows", *counts), tuple(rows), note=_split_note(meta))


def _split_note(meta: SplitMeta) -> str:
    note = (
        f"The text is made of: {', '.join(meta.columns)}. A row of validation or test is dropped "
        "when an earlier split has its text, so that nothing is tested on what was learned."
    )
    if meta.removed_over_limit:
        note += f" {meta.removed_over_limit:,} rows are over the recipe's limits, unused."
    return note


def _columns(evidence: Evidence) -> Table:
    contract = evidence.contract
    title = "Columns and who may use them"
    if isinstance(contract, Missing):
        return Table(title=title, absent=f"The contract cannot be shown: {contract.why}")
    return Table(
        title=title,
        columns=("column", "type", "class", "use", "meaning"),
        rows=tuple(_column_row(column, contract) for column in contract.columns),
    )


def _column_row(column: Column, contract: Contract) -> Row:
    use = _USES[column.classification]
    if column.name == contract.key:
        use = "key; joins the views"
    elif column.name == contract.label.column:
        use = "label"
    elif column.name in {facet.column for facet in contract.facets}:
        use = f"facet; {use}"
    meaning = " ".join(column.description.split())
    return row(column.name, column.logical_type, column.classification, use, meaning)
