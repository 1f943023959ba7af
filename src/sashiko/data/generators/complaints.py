"""Synthetic customer complaints to triage.

A complaint has a severity (low, medium, high), which only its text expresses. A fair decision
depends on the severity only and escalates medium and high ones. The label `escalate` is drawn from
the severity and, if `bias` is on, from the customer's gender: women with a complaint of medium
severity are escalated rarely. `age_band` has no effect, so a bias measured there is chance. With
`drift`, the products' shares move steadily from equal ones to a mix in which the last product of
the bank has eleven times the share of the first; nothing else changes.
A row depends on its number and the seed only, except for `received_at` and what follows from it:
the rows are spread evenly over the period, whatever their number. The weeks of a shift plan follow
the period; the comment above `Weeks` says what each kind of shift changes.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import BATCH_ROWS, Order
from sashiko.errors import InputError
from sashiko.settings.shifts import ShiftKind

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
_TEXTS = (
    "product channel complaint_text customer_name customer_email customer_phone customer_gender "
    "age_band escalate"
)
_SCHEMA = pa.schema([
    ("complaint_id", pa.string()),
    ("received_at", pa.timestamp("us", tz="UTC")),
    *((name, pa.string()) for name in _TEXTS.split()),
])  # fmt: skip


def uniform(seed: int, stream: str, row_numbers: Rows) -> Numbers:
    """Returns one number in [0, 1) per row: the same for each batch size, machine and numpy.

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


def pick(numbers: Numbers, count: int) -> Indices:
    """Turns numbers in [0, 1) into equally likely indices below `count`."""
    return (numbers * count).astype(np.int64)


def pick_weighted(numbers: Numbers, weights: Numbers) -> Indices:
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
# - `bias`: medium and severe complaints by women are worded as low ones. Labels still follow the
#   severity.
@dataclass(frozen=True)
class Weeks:
    """The weeks that follow the period; none without a plan."""

    order: Order

    @property
    def rows(self) -> int:
        """All rows: those of the period, and those of the weeks."""
        return self.order.rows + (self.order.plan.rows if self.order.plan else 0)

    def number(self, rows: Rows) -> Indices:
        """Returns each row's week, from 1; 0 in the period."""
        if self.order.plan is None:
            return np.zeros(len(rows), dtype=np.int64)
        after = rows.astype(np.int64) - self.order.rows
        return np.maximum(after // self.order.plan.rows_per_week + 1, 0)

    def elapsed(self, rows: Rows, moment: Numbers) -> Numbers:
        """Returns the weeks since the period's end; `moment` is a row's share of its slot."""
        if self.order.plan is None:
            return np.zeros(len(rows))
        after: Numbers = rows - float(self.order.rows) + moment
        return after / float(self.order.plan.rows_per_week)

    def concerned(self, rows: Rows, kind: ShiftKind, *, of: float = 1.0) -> Bools:
        """Says which rows a kind of shift concerns, drawn by row.

        `of` is the share of rows that can change; the plan's size is one of all rows.

        Raises:
            InputError: if the plan wants more rows to change than can.
        """
        plan = self.order.plan
        weeks = range(1, plan.weeks + 1) if plan else ()
        sizes = np.array([0.0, *(plan.size(kind, week=week) for week in weeks if plan)])
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


@dataclass(frozen=True)
class Topics:
    """What complaints are about; the last `new` texts of a product are of late complaints only."""

    texts: Sequence[Sequence[str]]  # for each product, as many for each
    weights: Sequence[float]  # of the products, in proportion to their shares before any drift
    new: int = 0
    new_share: float = 0.0  # of the late complaints


TOPICS = Topics(tuple(bank.TOPICS.values()), weights=(1.0,) * len(bank.TOPICS))


def take(banks: Sequence[Sequence[str]], which: Indices | int, index: Indices) -> pa.Array:
    """Returns `banks[which][index]` per row; all banks are of one length."""
    texts = pa.array([text for texts in banks for text in texts])
    return texts.take(pa.array(which * len(banks[0]) + index))


def by_gender(texts: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """Returns the banks of both genders, in the order of `GENDERS`."""
    return [texts[gender] for gender in GENDERS]


class Complaints:
    """The generator; the module's docstring describes the planted bias."""

    follows_plans = True

    @property
    def schema(self) -> pa.Schema:
        """The columns: strings, and `received_at` as UTC microseconds in whole seconds."""
        return _SCHEMA

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the complaints in the order of receipt."""
        for rows in row_batches(order, batch_rows):
            yield complaint_batch(order, rows)


def _product_shares(order: Order) -> Numbers:
    """Returns the products' shares at the end of the period."""
    weights: Numbers = 1.0 + np.linspace(0.0, DRIFT * order.drift, len(bank.TOPICS))
    shares: Numbers = weights / weights.sum()
    return shares


def row_batches(order: Order, batch_rows: int) -> Iterator[Rows]:
    """Yields the numbers of an order's rows, at most `batch_rows` at a time."""
    end = Weeks(order).rows
    for start in range(0, end, batch_rows):
        yield np.arange(start, min(start + batch_rows, end), dtype=np.uint64)


def severities(order: Order, rows: Rows) -> Indices:
    """Returns each complaint's severity: 0 low, 1 medium, 2 high."""
    severity = pick_weighted(uniform(order.seed, "severity", rows), SEVERITY_SHARES)
    high = len(SEVERITY_SHARES) - 1
    others = 1 - SEVERITY_SHARES[high] / SEVERITY_SHARES.sum()
    return np.where(Weeks(order).concerned(rows, "label", of=others), high, severity)


def genders(order: Order, rows: Rows) -> Indices:
    """Returns each customer's gender, as an index of `GENDERS`."""
    return pick(uniform(order.seed, "gender", rows), len(GENDERS))


def products(order: Order, rows: Rows, *, topics: Topics = TOPICS) -> Indices:
    """Returns each complaint's product, as its place among those of the topics."""
    draw = partial(uniform, order.seed, row_numbers=rows)
    elapsed = np.minimum((rows + draw("moment")) / order.rows, 1.0)
    drifted = elapsed if order.drift else np.zeros(len(rows))
    others = 1 - _product_shares(order)[-1]
    moved = Weeks(order).concerned(rows, "covariate", of=others)
    return np.where(moved, len(bank.TOPICS) - 1, _mixed(draw("product"), drifted, topics.weights))


def complaint_batch(order: Order, rows: Rows, *, topics: Topics = TOPICS) -> pa.RecordBatch:
    """Returns the complaints with these numbers, which are about these topics."""
    draw = partial(uniform, order.seed, row_numbers=rows)
    weeks = Weeks(order)
    elapsed = (rows + draw("moment")) / order.rows
    period = (PERIOD_END - PERIOD_START).total_seconds()
    received = np.where(
        weeks.number(rows) > 0,
        _moments(PERIOD_END, weeks.elapsed(rows, draw("moment")) * WEEK.total_seconds()),
        _moments(PERIOD_START, elapsed * period),
    )
    gender, severity = genders(order, rows), severities(order, rows)
    product = products(order, rows, topics=topics)
    understated = weeks.concerned(rows, "bias") & (gender == GENDERS.index("female"))
    first_name = pick(draw("first name"), len(bank.FIRST_NAMES["female"]))
    first = take(by_gender(bank.FIRST_NAMES), gender, first_name)
    last = take([bank.LAST_NAMES], 0, pick(draw("last name"), len(bank.LAST_NAMES)))
    account = _numbered("", rows % np.uint64(1000), digits=1)
    local = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), account, ".")
    phone = pick(draw("phone"), 1000).astype(np.uint64)
    columns = [
        _numbered("C", rows + np.uint64(1), digits=8),
        pa.array(received, pa.timestamp("us", tz="UTC")),
        take([tuple(bank.TOPICS)], 0, product),
        take([CHANNELS], 0, pick_weighted(draw("channel"), CHANNEL_SHARES)),
        _texts(
            draw,
            topics=topics,
            severity=np.where(understated, 0, severity),
            product=product,
            gender=gender,
            first_name=first_name,
            late=received >= int(NEW_PHRASES_FROM.timestamp()) * 1_000_000,
            unheard=weeks.concerned(rows, "phrases"),
        ),
        pc.binary_join_element_wise(first, last, " "),
        # Reserved: the domain by RFC 2606, the numbers by Ofcom for drama.
        pc.binary_join_element_wise(local, pa.scalar("example.com"), "@"),
        _numbered("+44 7700 900", phone, digits=3),
        take([GENDERS], 0, gender),
        take([AGE_BANDS], 0, pick_weighted(draw("age"), AGE_SHARES)),
        _labels(order, rows, severity, gender),
    ]
    return pa.record_batch(columns, schema=_SCHEMA)


def _texts(
    draw: Callable[[str], Numbers],
    *,
    topics: Topics,
    severity: Indices,
    product: Indices,
    gender: Indices,
    first_name: Indices,
    late: Bools,
    unheard: Bools,
) -> pa.Array:
    names = by_gender(bank.FIRST_NAMES)

    def edge(texts: Edge, stream: str, hinted: Bools) -> pa.Array:
        """Returns openers or closers, which reveal the gender where `hinted`."""
        numbers = draw(stream)
        plain = take([texts.plain], 0, pick(numbers, len(texts.plain)))
        relations = by_gender(texts.relations)
        relation = take(relations, gender, pick(numbers, len(relations[0])))
        banks = [[frame.format(name) for frame in texts.names for name in group] for group in names]
        frame = pick(numbers, len(texts.names))
        named = take(banks, gender, frame * len(names[0]) + first_name)
        hint = pc.if_else(pa.array(draw(f"{stream} kind") < NAME_SHARE), named, relation)
        return pc.if_else(pa.array(hinted), hint, plain)

    # Sentences on the subject, not on the severity.
    frames = len(bank.TOPIC_FRAMES)
    subjects = [
        [frame.format(topic) for topic in texts for frame in bank.TOPIC_FRAMES]
        for texts in topics.texts
    ]
    is_new = late & (draw("new topic") < topics.new_share)
    topic = _known_or_new(draw("topic"), is_new, count=len(topics.texts[0]), new=topics.new)
    subject = topic * frames + pick(draw("frame"), frames)
    # The last quarter of the phrases is new; those that are unheard are in neither part.
    numbers, count = draw("phrase"), len(bank.LOW)
    is_new = late & (draw("new") < NEW_PHRASE_SHARE)
    index = _known_or_new(numbers, is_new, count=count, new=count // 4)
    phrases = take((bank.LOW, bank.MEDIUM, bank.HIGH), severity, index)
    if unheard.any():
        others = take(bank.UNHEARD, severity, pick(numbers, len(bank.UNHEARD[0])))
        phrases = pc.if_else(pa.array(unheard), others, phrases)
    hint = pick_weighted(draw("hint"), HINT_SHARES)
    opener = edge(OPENERS, "opener", _IN_OPENER[hint])
    closer = edge(CLOSERS, "closer", _IN_CLOSER[hint])
    subjects_of_rows = take(subjects, product, subject)
    return pc.binary_join_element_wise(opener, subjects_of_rows, phrases, closer, " ")


def _known_or_new(numbers: Numbers, is_new: Bools, *, count: int, new: int) -> Indices:
    """Picks one of `count` texts: where `is_new` one of the last `new`, else one of the others."""
    known = count - new
    return np.where(is_new, known + pick(numbers, new), pick(numbers, known))


def _moments(start: dt.datetime, seconds: Numbers) -> Indices:
    """Turns seconds since a start into UTC microseconds, cut to whole seconds."""
    return (int(start.timestamp()) + seconds.astype(np.int64)) * 1_000_000


def _mixed(numbers: Numbers, drifted: Numbers, weights: Sequence[float]) -> Indices:
    """Picks a product; while `drifted` runs from 0 to 1, the last one's weight grows by ten."""
    slope = np.linspace(0.0, DRIFT, len(weights))
    bounds = np.cumsum(np.array(weights) + drifted[:, None] * slope, axis=1)
    passed = numbers[:, None] >= bounds[:, :-1] / bounds[:, -1:]
    return np.asarray(passed.sum(axis=1), dtype=np.int64)


def _labels(order: Order, rows: Rows, severity: Indices, gender: Indices) -> pa.Array:
    curves = np.array([ESCALATION[gender if order.bias else "male"] for gender in GENDERS])
    escalated = uniform(order.seed, "label", rows) < curves[gender, severity]
    decided = escalated ^ Weeks(order).concerned(rows, "concept")
    return take([("no", "yes")], 0, decided.astype(np.int64))


def _numbered(prefix: str, numbers: Rows, *, digits: int) -> pa.Array:
    padded = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), digits, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), padded, "")
