"""Drafts contract and recipe from a raw file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.leaks import LEAK, SUSPICIOUS, class_auc
from sashiko.contract.model import above_bound, bound_text
from sashiko.data.draft import column_drafts
from sashiko.data.draft.csv_format import FormatOptions
from sashiko.data.draft.naming import ANSWERS, IDENTIFIER, name_matches, sense
from sashiko.data.draft.profile import (
    Draft,
    FacetDraft,
    LabelDraft,
    Profile,
    RawTable,
    SplitDraft,
    TextDraft,
    read_raw,
)
from sashiko.data.draft.write import notes
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints

_TRAIN, _UNTIL_TEST = 0.7, 0.85
_MOST_GROUPS = 50  # the bias steps' limit for a category
_MOST_CLASSES = 20  # a contract may have more, which a team then names itself
_SHOWN = 5
_SMALLEST_SHARE = 0.02  # of the rows: a smaller group's rate says little
_MOST_SHORT = 12  # further columns make texts long and slow; the user may add them
_CHARACTERS_A_TOKEN = 3.5
_LENGTHS = (32, 64, 128, 256, 512)
_STARTS_AS_NUMBER = r"^[^\pL\d]{0,2}\d"
_PLAIN_NUMBER = r"^[+-]?\d+(?:[.,]\d+)?\z"
_MOSTLY = 0.9
_BEYOND_ASCII = r"[^\x{0}-\x{7f}\PL]"


def suspicious_columns(
    columns: Sequence[Profile], codes: Ints, label: LabelDraft
) -> Mapping[str, tuple[float, int]]:
    """Returns the columns with an AUC above `SUSPICIOUS` against a class, name -> AUC and class.

    `codes` says per row which of the label's classes it has, shape (rows,).
    """
    classes = len(label.classes)
    aucs = {column.name: class_auc(column.values, codes, classes=classes) for column in columns}
    return {name: pair for name, pair in aucs.items() if pair and pair[0] > SUSPICIOUS}


def describe_suspicion(column: Profile, auc: float, own: Bools, *, outcome: str) -> str:
    """Says how well a column tells a class apart, and what to ask about it.

    `own` says per row whether it has the class `outcome`, shape (rows,).
    """
    text = f"alone it predicts the label {outcome} with an AUC of {auc:.3f}"
    filled = np.asarray(pc.is_valid(column.values))
    if not filled.all():
        text += (
            f" (filled in {100 * filled[own].mean():.1f} % of the rows with it and "
            f"{100 * filled[~own].mean():.1f} % of the others)"
        )
    if auc > LEAK:
        return (
            f"{text}, as a column does that is filled in after the decision, so it is left out of "
            "`textColumns`; if it is known when the model predicts, add it there, and the reason "
            f"under `acceptedLeaks: [{{column: {column.name}, reason: ...}}]`"
        )
    return f"{text}: is it known when the model predicts?"


def split_draft(
    columns: Sequence[Profile], codes: Ints, label: LabelDraft, *, raw: RawTable
) -> SplitDraft:
    """Returns a split by the first date whose bounds give three parts with all classes.

    `columns` are all that may split: no key, label, sensitive or personal column. `codes` says per
    row which of the label's classes it has, shape (rows,).
    """
    dates = [column for column in columns if column.is_date]
    for column in dates:
        if column.missing:
            continue
        days = np.asarray(column.values.cast(pa.date32()))
        ordered = np.sort(days)
        bounds = [ordered[int(share * len(days))] for share in (_TRAIN, _UNTIL_TEST)]
        parts = np.searchsorted(bounds, days, side="right")
        if all(len(np.unique(codes[parts == part])) == len(label.classes) for part in range(3)):
            return SplitDraft(
                column=column.name,
                validation_from=bounds[0].item(),
                test_from=bounds[1].item(),
                why="later rows are for testing, as the model will meet later rows; "
                + ", ".join(f"{100 * np.mean(parts == part):.0f} %" for part in range(3))
                + " of the rows train, validate, test",
            )
    private = [column.name for column in raw.columns if column.is_date and column not in dates]
    if not dates and private:
        why = f"{', '.join(private)} may not be read for it, and no other column is a date"
    elif not dates:
        warnings = [
            f"; {column.name}: {column.warning}" for column in raw.columns if column.warning
        ]
        why = f"no column is a date, so rows cannot be split by time{''.join(warnings)}"
    else:
        names = ", ".join(column.name for column in dates)
        why = f"{names} has gaps, or too few days or labels, for three parts in time"
    return SplitDraft(why=why)


def find_column(raw: RawTable, name: str, *, option: str, path: Path) -> Profile:
    """Returns a column by its name in the file or in the lake.

    Raises:
        InputError: if there is none, with the file's columns.
    """
    for column in raw.columns:
        if name in (column.physical_name, column.name):
            return column
    known = ", ".join(f"`{column.physical_name}`" for column in raw.columns)
    raise InputError(f"{path}: there is no column `{name}` for {option}; the file has {known}")


def label_draft(column: Profile, *, path: Path) -> LabelDraft:
    """Returns the label and which of its classes are favourable, by their words where these tell.

    Numbers are classes where they are few and whole, and else a number.

    Raises:
        InputError: if the column has gaps, one value, or too many for classes.
    """
    _refuse_gaps(column, path=path, role="label", fix="leave rows without a label out of the file")
    counts = {item["values"]: item["counts"] for item in pc.value_counts(column.texts).to_pylist()}
    classes = tuple(sorted(counts))
    is_whole = column.logical_type == "integer"
    if len(classes) > (_MOST_CLASSES if is_whole else 2) and (
        is_whole or column.logical_type == "number"
    ):
        return _number_draft(column, path=path)
    if not 2 <= len(classes) <= _MOST_CLASSES:
        values = ", ".join(repr(value) for value in classes[:_SHOWN])
        more = ", ..." if len(classes) > _SHOWN else ""
        fix = "make a column that says yes or no"
        if len(classes) > 2:
            fix = _fix_of_many(column)
        raise InputError(
            f"{path}: label column `{column.physical_name}` has {len(classes):,} "
            f"value{'s' if len(classes) > 1 else ''} ({values}{more}); a label has 2 to "
            f"{_MOST_CLASSES} classes: {fix}"
        )
    favourable, why = _favourable(column, counts)
    why += ". Is that the good outcome for a person? Bias is measured as if it were: if not, change"
    if len(classes) > 2 and column.logical_type in ("integer", "number"):
        why = (
            "its values are numbers, each a class of its own without an order (if more is better: "
            f"`kind: number, favourable: {{above: ...}}`, and no `enum`); {why}"
        )
    return LabelDraft(column=column.name, classes=classes, favourable=favourable, why=why)


def _number_draft(column: Profile, *, path: Path) -> LabelDraft:
    """Takes a number above the median for favourable; InputError if a value is infinite."""
    values = column.values.to_numpy()
    if infinite := int((~np.isfinite(values)).sum()):
        raise InputError(
            f"{path}: label column `{column.physical_name}` is infinite in {infinite:,} of "
            f"{len(values):,} rows; correct these rows or leave them out of the file"
        )
    # One of the values, and not the greatest, above which there is none.
    above = min(np.quantile(values, 0.5, method="lower"), values[values < values.max()].max())
    share = 100 * np.mean(values > above)
    names = (f"at most {bound_text(above)}", above_bound(above))
    sounds = {1: "sounds good", -1: "sounds bad, so less may be better", 0: "does not tell"}
    why = (
        f"a value near the middle, with {share:.1f} % of the rows above it. Is more the good "
        f"outcome for a person (`{column.physical_name}` {sounds[sense(column.physical_name)]}), "
        "and from where? Bias is measured as if it were. Where less is better, turn the sign of "
        "the column in the data"
    )
    return LabelDraft(
        column=column.name, classes=names, favourable=names[1:], why=why, above=above.item()
    )


def _fix_of_many(column: Profile) -> str:
    """Says what to do about too many texts, which may be numbers in a form that is not read."""
    digits = pc.match_substring_regex(column.texts, _STARTS_AS_NUMBER)
    if column.warning:
        return column.warning
    if pc.mean(digits.cast(pa.int64())).as_py() < _MOSTLY:
        return "join rare ones, for example to one class `other`"
    typed = pc.match_substring_regex(column.texts, _PLAIN_NUMBER)
    texts = column.texts.filter(pc.invert(typed))
    example = f"; {texts[0].as_py()!r} is none" if len(texts) else ", without leading zeros"
    return f"they look like numbers: write each as a plain number{example}"


def _favourable(column: Profile, counts: Mapping[str, int]) -> tuple[tuple[str, ...], str]:
    """Guesses the favourable classes and says why, as the start of a sentence."""
    good, bad = ([value for value in sorted(counts) if sense(value) == sign] for sign in (1, -1))
    if 0 < len(good) < len(counts):
        return tuple(good), "its words sound good"
    if 0 < len(bad) < len(counts):
        return tuple(sorted({*counts} - {*bad})), f"the words of {' and '.join(bad)} sound bad"
    of_column = sense(column.physical_name)
    for no, yes in ANSWERS:
        by_answer = {value.casefold(): value for value in counts}
        if of_column and by_answer.keys() == {no, yes}:
            sounds = "good" if of_column > 0 else "bad"
            answer = by_answer[yes if of_column > 0 else no]
            return (answer,), f"a yes to `{column.physical_name}` sounds {sounds}"
    rarest = min(counts, key=lambda value: (counts[value], value))
    share = 100 * counts[rarest] / len(column.texts)
    return (rarest,), f"no word tells, so the rarest is taken, {share:.1f} % of the rows"


def facet_drafts(
    columns: Sequence[Profile], positive: Bools, *, label: LabelDraft, path: Path
) -> tuple[FacetDraft, ...]:
    """Returns the facets, whose group with the smallest favourable share is disadvantaged.

    `positive` says per row whether its class is favourable, shape (rows,).

    Raises:
        InputError: if a facet is named twice, is the label, has gaps, or one value or too many.
    """
    names = [column.name for column in columns]
    for column in columns:
        if column.name == label.column:
            raise InputError(f"--facet: `{column.physical_name}` is the label; name other columns")
        if names.count(column.name) > 1:
            raise InputError(f"--facet: `{column.physical_name}` is named twice; name it once")
    drafts = []
    for column in columns:
        fix = "give rows of unknown group their own value, such as `unknown`"
        _refuse_gaps(column, path=path, role="facet", fix=fix)
        table = pa.table({"group": column.texts, "positive": positive})
        aggregates = [("positive", "mean"), ("positive", "count")]
        groups = table.group_by("group").aggregate(aggregates).to_pylist()
        if not 2 <= len(groups) <= _MOST_GROUPS:
            raise InputError(
                f"{path}: facet column `{column.physical_name}` has {len(groups):,} different "
                f"values; bias is judged for 2 to {_MOST_GROUPS} groups: put values into bands, "
                "such as 18-29"
            )
        fewest = _SMALLEST_SHARE * len(positive)
        enough = [item for item in groups if item["positive_count"] >= fewest]
        rate, group = min((item["positive_mean"], item["group"]) for item in enough)
        why = (
            f"{100 * rate:.1f} % of its rows are favourable, the smallest share of all groups; if "
            "that outcome is bad for a person, this is the group that is better off"
        )
        drafts.append(FacetDraft(column=column.name, disadvantaged=group, why=why))
    return tuple(drafts)


def _refuse_gaps(column: Profile, *, path: Path, role: str, fix: str) -> None:
    if gaps := column.texts.null_count:
        raise InputError(
            f"{path}: {role} column `{column.physical_name}` has no value in {gaps:,} of "
            f"{len(column.texts):,} rows; {fix}"
        )


def text_draft(columns: Sequence[Profile], *, leaks: Sequence[Profile], path: Path) -> TextDraft:
    """Returns a template with short values first, each after its name, and sentences last.

    `columns` are all that a text may use: no key, label, date, sensitive or personal column, and
    none of `leaks`, which tell the label apart alone.

    Raises:
        InputError: if no column is left.
    """
    varied = [column for column in columns if column.distinct > 1]
    if not varied:
        raise InputError(
            f"{path}: no column is left for the text that a model reads; key, label, date, "
            "facets, columns with one value, columns that sound like a person's, near keys and "
            "columns that predict the label alone cannot be used"
        )
    prose = [column for column in varied if column.is_prose]
    short = [column for column in varied if not column.is_prose][:_MOST_SHORT]
    values = ", ".join(f"{c.name.replace('_', ' ')} {{{c.name}}}" for c in short)
    sentences = " ".join(f"{{{column.name}}}" for column in prose)
    template = ": ".join(text for text in (values, sentences) if text)
    used = [*short, *prose]
    lengths = [pc.fill_null(pc.utf8_length(column.texts), 0).to_numpy() for column in used]
    names = sum(len(column.name) + 2 for column in used)
    characters = float(np.quantile(np.sum(lengths, axis=0), 0.95)) + len(template) - names
    tokens = characters / _CHARACTERS_A_TOKEN
    beyond_ascii = [pc.match_substring_regex(column.texts, _BEYOND_ASCII) for column in used]
    foreign = np.any([pc.fill_null(matches, False) for matches in beyond_ascii], axis=0)
    return TextDraft(
        columns=tuple(column.name for column in varied),
        template=template,
        tokens=next((length for length in _LENGTHS if length >= tokens), _LENGTHS[-1]),
        foreign_percent=int(100 * np.mean(foreign)),
        leaks=tuple(column.name for column in leaks),
    )


def make_draft(
    path: Path, *, name: str, source: str, label: str, facets: Sequence[str], options: FormatOptions
) -> Draft:
    """Guesses the contract and the recipe of a CSV or Parquet file.

    `source` is the file as the recipe `name` will name it; `label` and `facets`, which may be
    empty, are columns by their names in the file or in the lake.

    Raises:
        InputError: if the file cannot be read or used, naming file, column and the fix.
    """
    raw = read_raw(path, options)
    target = find_column(raw, label, option="--label", path=path)
    label_ = label_draft(target, path=path)
    if label_.above is None:
        places = pc.index_in(target.texts, value_set=pa.array(label_.classes, pa.string()))
    else:
        places = pc.greater(target.values, label_.above).cast(pa.int64())
    codes = np.asarray(places, dtype=np.int64)
    positive = np.isin(np.array(label_.classes), label_.favourable)[codes]
    groups = [find_column(raw, facet, option="--facet", path=path) for facet in facets]
    facets_ = facet_drafts(groups, positive, label=label_, path=path)
    classes = column_drafts.classify(raw, target=target, facets=groups)
    key = column_drafts.find_key(raw, classes, target=target)
    if key is not None:
        why = "every role reads the key of its rows; if it names a person, choose another column"
        classes[key.name] = ("none", why)
    others = [column for column in raw.columns if column not in (target, *groups, key)]
    keys = [column for column in others if column_drafts.key_like(column)]
    for column in keys:
        if classes[column.name][0] == "none":
            classes[column.name] = ("pii", column_drafts.key_like(column))
    public = [column for column in raw.columns if classes[column.name][0] == "none"]
    free = [column for column in public if column not in (target, key)]
    suspicions = suspicious_columns(free, codes, label_)
    for column in free:
        if column.name in suspicions:
            auc, own = suspicions[column.name]
            why = describe_suspicion(column, auc, codes == own, outcome=label_.classes[own])
            classes[column.name] = ("none", why)
    aucs = {name: auc for name, (auc, _) in suspicions.items()}
    usable = [column for column in free if aucs.get(column.name, 0) <= LEAK]
    leaks = [column for column in free if column not in usable]
    drafts = [
        column_drafts.column_draft(
            column,
            classification=classes[column.name],
            key=column is key,
            category=column in groups or (column is target and label_.above is None),
        )
        for column in raw.columns
    ]
    row_number = ""
    if key is None:
        row_number = "row_number"
        while row_number in classes:
            row_number += "_"
        drafts.insert(0, column_drafts.row_number_draft(row_number))
    split = split_draft(usable, codes, label_, raw=raw)
    repeats = column_drafts.repeated_rows(raw.columns)
    if not repeats.rows:
        repeats = column_drafts.repeated_rows(raw.columns, without=[*keys, *([key] if key else [])])
    # A number of its own for each row says nothing about the next one.
    texts = [
        column
        for column in usable
        if not column.is_date
        and not (column.is_unique and name_matches(IDENTIFIER, column.physical_name))
    ]
    rows = Counter(label_.classes[code] for code in codes.tolist())
    said = notes(raw, repeats=repeats, keys=keys, aucs=aucs, split=split, rows_of=rows)
    return Draft(
        name=name,
        table=name.replace("-", "_"),
        file=path.name,
        source=source,
        rows=len(positive),
        columns=tuple(drafts),
        label=label_,
        facets=facets_,
        groups=tuple(c.name for c in drafts if c.classification == "sensitive" and not facets),
        split=split,
        text=text_draft(texts, leaks=leaks, path=path),
        row_number=row_number,
        trim=raw.trim,
        null_values=raw.null_values,
        csv=raw.csv,
        marks=raw.marks,
        repeats=repeats,
        notes=tuple(said),
    )
