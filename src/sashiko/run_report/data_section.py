"""The data: rows, contract, and splits."""

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.splits import META_FILE, SPLITS, SplitMeta, read_split_meta
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.views import Cell, Fact, Section, Table, numeric, row
from sashiko.report.words import percent

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
    label = contract.label
    return Section(
        anchor="data",
        title="Data",
        statements=(" ".join(contract.description.split()),),
        facts=(
            Fact("contract", contract.title),
            Fact("label", f"{label.column}: {label.positive} (positive) or {label.negative}"),
            Fact("facets judged for bias", ", ".join(facets) or "none: bias is not judged"),
            Fact("split", _split_words(contract.split, meta)),
        ),
        tables=(_splits(meta), columns),
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
    counts = (f"labelled {meta.labels[1]}", "dropped as repeats", "same text, both labels")
    note = (
        f"The text is made of: {', '.join(meta.columns)}. A row of validation or test is dropped "
        "when an earlier split has its text, so that a text is never learned and judged."
    )
    if meta.removed_over_limit:
        note += f" {meta.removed_over_limit:,} rows exceed the recipe's limits and are not used."
    return Table("Splits", ("split", "rows", *counts), tuple(rows), note=note)
