"""Synthetic customer complaints to triage, with a known truth.

A complaint has a severity (low, medium, high), which only its text expresses. A fair decision
depends on the severity only and escalates medium and high ones: that is the truth
(`Complaints.truth`). The label `escalate` is drawn from the severity and, if `bias` is on, from the
customer's gender: women with a complaint of medium severity are escalated rarely. `age_band` has no
effect, so a bias measured there is chance. With `drift`, the products' shares move steadily from
equal ones to a mix in which the last product of the bank has eleven times the share of the first;
nothing else changes.
A row depends on its number and the seed only, except for `received_at` and what follows from it:
the rows are spread evenly over the period, whatever their number. The weeks of a shift plan follow
the period; `complaints_weeks` says what each kind of shift changes.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import BATCH_ROWS, Order
from sashiko.errors import InputError
from sashiko.settings.shifts import ShiftKind, ShiftPlan

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
Rows = NDArray[np.uint64]
Bools = NDArray[np.bool_]
WEEK = dt.timedelta(days=7)
Indices = NDArray[np.int64]
Numbers = NDArray[np.float64]
GENDERS = ("female", "male")
# A hint at the gender is a first name this often, and else a phrase such as "my husband".
NAME_SHARE = 0.15
# The contract's `test_from` is the day from which new phrases appear.
PERIOD_START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
NEW_PHRASES_FROM = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
PERIOD_END = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
# From then on a quarter of the phrases in use is new, and this share of the complaints uses them.
NEW_PHRASE_SHARE = 0.85
SEVERITY_SHARES = np.array([0.40, 0.35, 0.25])
# P(escalate | low, medium, high); without bias all customers have the men's curve.
ESCALATION = {"female": (0.03, 0.15, 0.80), "male": (0.05, 0.80, 0.97)}
# Where a text reveals the gender: nowhere, in the opener, in the closer, in both.
HINT_SHARES = np.array([0.05, 0.25, 0.20, 0.50])
_IN_OPENER = np.array([False, True, False, True])
_IN_CLOSER = np.array([False, False, True, True])
DRIFT = 10.0
AGE_BANDS = ("18-29", "30-44", "45-59", "60+")
AGE_SHARES = np.array([0.22, 0.30, 0.28, 0.20])
CHANNELS = ("app", "email", "phone", "web form", "letter")
CHANNEL_SHARES = np.array([0.30, 0.25, 0.20, 0.20, 0.05])
Draw = Callable[[str], Numbers]
_SCHEMA = pa.schema(
    [
        pa.field("complaint_id", pa.string()),
        pa.field("received_at", pa.timestamp("us", tz="UTC")),
        pa.field("product", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("complaint_text", pa.string()),
        pa.field("customer_name", pa.string()),
        pa.field("customer_email", pa.string()),
        pa.field("customer_phone", pa.string()),
        pa.field("customer_gender", pa.string()),
        pa.field("age_band", pa.string()),
        pa.field("escalate", pa.string()),
    ]
)


# Random numbers that depend only on the seed, a stream's name and the row's number.
#
# A row has the same values for each batch size, machine and version of numpy.


def uniform(seed: int, stream: str, row_numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Returns one number in [0, 1) per row.

    The numbers are those of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
    number generators"), started at a digest of seed and stream, at position `row + 1`.

    Args:
        seed: of the data set.
        stream: the purpose of the numbers; different names give independent numbers.
        row_numbers: uint64, any shape.

    Returns:
        float64 of the same shape, multiples of 2^-53.
    """
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "big"))
    state = start + (row_numbers + np.uint64(1)) * _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def pick(numbers: NDArray[np.float64], count: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Turns numbers in [0, 1) into equally likely indices below `count` (one, or one per row)."""
    return (numbers * count).astype(np.int64)


def pick_weighted(numbers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turns numbers in [0, 1) into indices of `weights`, each as likely as its share of the sum."""
    bounds = np.cumsum(weights)
    indices = np.searchsorted(bounds / bounds[-1], numbers, side="right")
    return np.minimum(indices, len(weights) - 1).astype(np.int64)


# The weeks of a shift plan for the complaints: their dates, and which rows a shift concerns.
#
# What the kinds of `settings.shifts` are here:
#
# - `covariate`: complaints of other products become ones about the last product of the bank. The
#   size is the distance in total variation between the mixes.
# - `label`: complaints of low and medium severity become severe ones; the size likewise.
# - `phrases`: the severity is told by a phrase that no row of the period has.
# - `concept`: the desk decides the other way round, whatever the severity.
# - `bias`: medium and severe complaints by women are worded as low ones. Label and truth still
#   follow the severity.
@dataclass(frozen=True)
class Weeks:
    """The weeks that follow the period; none without a plan."""

    order: Order

    @property
    def rows(self) -> int:
        """All rows: those of the period, and those of the weeks."""
        return self.order.rows + (self.order.plan.rows if self.order.plan else 0)

    def number(self, rows: Rows) -> NDArray[np.int64]:
        """Returns each row's week, from 1; 0 in the period."""
        if self.order.plan is None:
            return np.zeros(len(rows), dtype=np.int64)
        after = rows.astype(np.int64) - self.order.rows
        return np.maximum(after // self.order.plan.rows_per_week + 1, 0)

    def elapsed(self, rows: Rows, moment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the weeks since the period's end; `moment` is a row's share of its slot."""
        if self.order.plan is None:
            return np.zeros(len(rows))
        weeks: NDArray[np.float64] = (rows - float(self.order.rows) + moment) / float(
            self.order.plan.rows_per_week
        )
        return weeks

    def concerned(self, rows: Rows, kind: ShiftKind, *, of: float = 1.0) -> Bools:
        """Says which rows a kind of shift concerns, drawn by row.

        Args:
            rows: numbers of the rows.
            kind: of the shifts.
            of: the share of rows that can change; the plan's size is one of all rows.

        Raises:
            InputError: if the plan wants more rows to change than can.
        """
        plan = self.order.plan
        if plan is None:
            return np.zeros(len(rows), dtype=np.bool_)
        sizes = np.array([0.0, *(plan.size(kind, week=week + 1) for week in range(plan.weeks))])
        if sizes.max() > of + 1e-9:
            raise InputError(
                f"shift plan: the shifts of kind `{kind}` add up to {sizes.max():.3g}, and at most "
                f"{of:.3g} of the complaints can change so: lower their `size`"
            )
        if not sizes.any():
            return np.zeros(len(rows), dtype=np.bool_)
        share = sizes[self.number(rows)] / of
        concerned: Bools = uniform(self.order.seed, f"shift {kind}", rows) < share
        return concerned


@dataclass(frozen=True)
class Edge:
    """The texts that may open, or close, a complaint."""

    plain: Sequence[str]
    relations: Mapping[str, Sequence[str]]
    names: Sequence[str]


OPENERS = Edge(bank.OPENERS, bank.RELATION_OPENERS, bank.NAME_OPENERS)
CLOSERS = Edge(bank.CLOSERS, bank.RELATION_CLOSERS, bank.NAME_CLOSERS)


def take(banks: Sequence[Sequence[str]], which: Indices | int, index: Indices) -> pa.Array:
    """Returns `banks[which][index]` per row; all banks are of one length."""
    texts = pa.array([text for texts in banks for text in texts])
    return texts.take(pa.array(which * len(banks[0]) + index))


def by_gender(texts: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """Returns the banks of both genders, in the order of `GENDERS`."""
    return [texts[gender] for gender in GENDERS]


def topics(product: Indices, *, topic: Numbers, frame: Numbers) -> pa.Array:
    """Returns a sentence on the subject of a complaint, not on its severity."""
    sentences = [
        [frame.format(topic) for topic in topics for frame in bank.TOPIC_FRAMES]
        for topics in bank.TOPICS.values()
    ]
    frames = len(bank.TOPIC_FRAMES)
    index = pick(topic, len(sentences[0]) // frames) * frames + pick(frame, frames)
    return take(sentences, product, index)


def phrases(
    severity: Indices, *, is_new: NDArray[np.bool_], is_unheard: NDArray[np.bool_], numbers: Numbers
) -> pa.Array:
    """Returns the phrase with the severity.

    It is one of the bank's last quarter where `is_new`, and one that is in neither part of the bank
    where `is_unheard`.
    """
    phrases = (bank.LOW, bank.MEDIUM, bank.HIGH)
    new = len(bank.LOW) // 4
    known = len(bank.LOW) - new
    index = np.where(is_new, known + pick(numbers, new), pick(numbers, known))
    usual = take(phrases, severity, index)
    if not is_unheard.any():
        return usual
    unheard = take(bank.UNHEARD, severity, pick(numbers, len(bank.UNHEARD[0])))
    return pc.if_else(pa.array(is_unheard), unheard, usual)


def edges(
    edge: Edge,
    *,
    hinted: NDArray[np.bool_],
    gender: Indices,
    first_name: Indices,
    kind: Numbers,
    numbers: Numbers,
) -> pa.Array:
    """Returns an opener or closer, which reveals the gender where `hinted`."""
    plain = take([edge.plain], 0, pick(numbers, len(edge.plain)))
    relations = by_gender(edge.relations)
    relation = take(relations, gender, pick(numbers, len(relations[0])))
    named = _named(edge.names, gender, first_name, numbers)
    hint = pc.if_else(pa.array(kind < NAME_SHARE), named, relation)
    return pc.if_else(pa.array(hinted), hint, plain)


def _named(
    frames: Sequence[str], gender: Indices, first_name: Indices, numbers: Numbers
) -> pa.Array:
    names = by_gender(bank.FIRST_NAMES)
    banks = [[frame.format(name) for frame in frames for name in group] for group in names]
    return take(banks, gender, pick(numbers, len(frames)) * len(names[0]) + first_name)


class Complaints:
    """The generator; the module's docstring describes the planted bias."""

    @property
    def schema(self) -> pa.Schema:
        """The columns: strings, and `received_at` as UTC microseconds in whole seconds."""
        return _SCHEMA

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the complaints in the order of receipt."""
        for rows in _batches(order, batch_rows):
            yield _batch(order, rows)

    def truth(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields per complaint `key`, `label` and `truth`, both 0 or 1, in the same order.

        The truth is 1 where P(escalate) without the planted bias is above one half, by severity.
        """
        for rows in _batches(order, batch_rows):
            severity, gender = _severity(order, rows), _gender(order, rows)
            fair = np.array(ESCALATION["male"])[severity] > 0.5
            label = _labels(order, rows, severity, gender)
            columns = {
                "key": _numbered("C", rows + np.uint64(1), digits=8),
                "label": pc.equal(label, "yes").cast(pa.int64()),
                "truth": pa.array(fair.astype(np.int64)),
            }
            yield pa.record_batch(columns)

    def planted(self, order: Order) -> Sequence[dict[str, Any]]:
        """Returns per week of the plan its first day, rows and distributions."""
        if order.plan is None:
            return []
        weeks = range(1, order.plan.weeks + 1)
        return [_planted(order, week, order.plan) for week in weeks]


def _planted(order: Order, week: int, plan: ShiftPlan) -> dict[str, Any]:
    products = _shares_with_more_of_the_last(
        _product_shares(order), plan.size("covariate", week=week)
    )
    severities = _shares_with_more_of_the_last(SEVERITY_SHARES, plan.size("label", week=week))
    return {
        "week": week,
        "starts": (PERIOD_END + (week - 1) * WEEK).date().isoformat(),
        "rows": plan.rows_per_week,
        "product": dict(zip(bank.TOPICS, products, strict=True)),
        "severity": dict(zip(("low", "medium", "high"), severities, strict=True)),
        "unheard_phrases": plan.size("phrases", week=week),
        "reversed_labels": plan.size("concept", week=week),
        "womens_complaints_worded_low": plan.size("bias", week=week),
    }


def _shares_with_more_of_the_last(shares: Numbers, more: float) -> list[float]:
    """Moves a share of all rows to the last value, from each other one in proportion."""
    moved = shares / shares.sum()
    moved *= 1 - more / (1 - moved[-1])
    moved[-1] = 1 - moved[:-1].sum()
    return [round(float(share), 6) for share in moved]


def _product_shares(order: Order) -> Numbers:
    """Returns the products' shares at the end of the period."""
    weights: Numbers = 1.0 + np.linspace(0.0, DRIFT * order.drift, len(bank.TOPICS))
    shares: Numbers = weights / weights.sum()
    return shares


def _batches(order: Order, batch_rows: int) -> Iterator[NDArray[np.uint64]]:
    """Yields the numbers of the rows, batch by batch."""
    end = Weeks(order).rows
    for start in range(0, end, batch_rows):
        yield np.arange(start, min(start + batch_rows, end), dtype=np.uint64)


def _severity(order: Order, rows: NDArray[np.uint64]) -> Indices:
    severity = pick_weighted(uniform(order.seed, "severity", rows), SEVERITY_SHARES)
    high = len(SEVERITY_SHARES) - 1
    others = 1 - SEVERITY_SHARES[high] / SEVERITY_SHARES.sum()
    return np.where(Weeks(order).concerned(rows, "label", of=others), high, severity)


def _gender(order: Order, rows: NDArray[np.uint64]) -> Indices:
    return pick(uniform(order.seed, "gender", rows), len(GENDERS))


def _batch(order: Order, rows: NDArray[np.uint64]) -> pa.RecordBatch:
    def draw(stream: str) -> Numbers:
        return uniform(order.seed, stream, rows)

    weeks = Weeks(order)
    elapsed = (rows + draw("moment")) / order.rows
    received = np.where(
        weeks.number(rows) > 0,
        _week_moments(weeks.elapsed(rows, draw("moment"))),
        _moments(elapsed),
    )
    gender, severity = _gender(order, rows), _severity(order, rows)
    product = _products(
        draw("product"), np.minimum(elapsed, 1.0) if order.drift else np.zeros(len(rows))
    )
    others = 1 - _product_shares(order)[-1]
    product = np.where(weeks.concerned(rows, "covariate", of=others), len(bank.TOPICS) - 1, product)
    understated = weeks.concerned(rows, "bias") & (gender == GENDERS.index("female"))
    first_name = pick(draw("first name"), len(bank.FIRST_NAMES["female"]))
    late = received >= _microseconds(NEW_PHRASES_FROM)
    first = take(by_gender(bank.FIRST_NAMES), gender, first_name)
    last = take([bank.LAST_NAMES], 0, pick(draw("last name"), len(bank.LAST_NAMES)))
    columns = [
        _numbered("C", rows + np.uint64(1), digits=8),
        pa.array(received, pa.timestamp("us", tz="UTC")),
        take([tuple(bank.TOPICS)], 0, product),
        take([CHANNELS], 0, pick_weighted(draw("channel"), CHANNEL_SHARES)),
        _texts(
            draw,
            severity=np.where(understated, 0, severity),
            product=product,
            gender=gender,
            first_name=first_name,
            late=late,
            unheard=weeks.concerned(rows, "phrases"),
        ),
        pc.binary_join_element_wise(first, last, " "),
        _emails(first, last, rows),
        _phones(draw("phone")),
        take([GENDERS], 0, gender),
        take([AGE_BANDS], 0, pick_weighted(draw("age"), AGE_SHARES)),
        _labels(order, rows, severity, gender),
    ]
    return pa.record_batch(columns, schema=_SCHEMA)


def _texts(
    draw: Draw,
    *,
    severity: Indices,
    product: Indices,
    gender: Indices,
    first_name: Indices,
    late: NDArray[np.bool_],
    unheard: NDArray[np.bool_],
) -> pa.Array:
    hint = pick_weighted(draw("hint"), HINT_SHARES)

    def edge(texts: Edge, name: str, hinted: NDArray[np.bool_]) -> pa.Array:
        return edges(
            texts,
            hinted=hinted,
            gender=gender,
            first_name=first_name,
            kind=draw(f"{name} kind"),
            numbers=draw(name),
        )

    return pc.binary_join_element_wise(
        edge(OPENERS, "opener", _IN_OPENER[hint]),
        topics(product, topic=draw("topic"), frame=draw("frame")),
        phrases(
            severity,
            is_new=late & (draw("new") < NEW_PHRASE_SHARE),
            is_unheard=unheard,
            numbers=draw("phrase"),
        ),
        edge(CLOSERS, "closer", _IN_CLOSER[hint]),
        " ",
    )


def _microseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _moments(elapsed: Numbers) -> NDArray[np.int64]:
    """Turns shares of the period, in [0, 1), into UTC microseconds, cut to whole seconds."""
    period_seconds = int((PERIOD_END - PERIOD_START).total_seconds())
    seconds = (elapsed * period_seconds).astype(np.int64)
    return _microseconds(PERIOD_START) + seconds * 1_000_000


def _week_moments(weeks: Numbers) -> NDArray[np.int64]:
    """Turns weeks since the period's end into UTC microseconds, cut to whole seconds."""
    seconds = (weeks * WEEK.total_seconds()).astype(np.int64)
    return _microseconds(PERIOD_END) + seconds * 1_000_000


def _products(numbers: Numbers, drifted: Numbers) -> Indices:
    """Picks a product; `drifted` runs from 0, all alike, to 1, the last one eleven to one."""
    slope = np.linspace(0.0, DRIFT, len(bank.TOPICS))
    bounds = np.cumsum(1.0 + drifted[:, None] * slope, axis=1)
    passed = numbers[:, None] >= bounds[:, :-1] / bounds[:, -1:]
    return np.asarray(passed.sum(axis=1), dtype=np.int64)


def _labels(order: Order, rows: NDArray[np.uint64], severity: Indices, gender: Indices) -> pa.Array:
    curves = np.array([ESCALATION[gender if order.bias else "male"] for gender in GENDERS])
    escalated = uniform(order.seed, "label", rows) < curves[gender, severity]
    decided = escalated ^ Weeks(order).concerned(rows, "concept")
    return take([("no", "yes")], 0, decided.astype(np.int64))


def _numbered(prefix: str, numbers: NDArray[np.uint64], *, digits: int) -> pa.Array:
    padded = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), digits, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), padded, "")


def _emails(first: pa.Array, last: pa.Array, rows: NDArray[np.uint64]) -> pa.Array:
    """Returns addresses at example.com, which RFC 2606 reserves."""
    local = pc.binary_join_element_wise(
        pc.utf8_lower(first),
        pc.utf8_lower(last),
        _numbered("", rows % np.uint64(1000), digits=1),
        ".",
    )
    return pc.binary_join_element_wise(local, pa.scalar("example.com"), "@")


def _phones(numbers: Numbers) -> pa.Array:
    """Returns numbers of the range that Ofcom reserves for drama."""
    return _numbered("+44 7700 900", pick(numbers, 1000).astype(np.uint64), digits=3)
