"""The windows and streams that `monitoring_peers` has all monitors judge, drawn and written.

A reference and its window have no row in common: a text that stands on both sides, or twice on one,
would tell a classifier of texts more than its words do. A larger reference, of which no text is
compared, is drawn with replacement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.settings.shifts import ShiftKind
from verification.benchmarks.monitoring_audit import AUDITED
from verification.benchmarks.monitoring_page import REFERENCE_ROWS
from verification.benchmarks.monitoring_pools import COLUMNS, Pools, Rows
from verification.benchmarks.monitoring_verdicts import STREAMS, WINDOWS

WEEKS, WEEK_ROWS = 12, 500  # of a stream
CHUNKS = 30  # of a larger reference
_LARGEST_CHUNK = 2000  # more would ask for a reference of 600,000 labelled rows
STREAM_KINDS = ("quiet", "drift")
REVERSED = 0.085  # of the labels: the accuracy falls by 0.07


@dataclass(frozen=True)
class Setting:
    """Windows of one kind."""

    name: str
    rows: int
    kind: ShiftKind | None = None  # None: quiet
    size: float = 0.0
    has_texts: bool = False  # whether texts are compared too

    def __str__(self) -> str:
        """Names the kind of window."""
        return f"{self.name}, {self.rows:,} rows"


_TOLERATED = "product mix moved by .037, our tolerance"
SETTINGS = (
    *(Setting("quiet", rows, has_texts=True) for rows in (200, 500, 2000, 20_000)),
    Setting("product mix moved by .18", 200, "covariate", 0.18),
    Setting("product mix moved by .18", 500, "covariate", 0.18),
    Setting("product mix moved by .25", 500, "covariate", 0.25, has_texts=True),
    Setting("severe cases .25 to .40", 200, "label", 0.15),
    Setting("severe cases .25 to .40", 500, "label", 0.15, has_texts=True),
    Setting("a quarter new phrases", 200, "phrases", 0.25, has_texts=True),
    Setting("a quarter new phrases", 500, "phrases", 0.25, has_texts=True),
    *(Setting(_TOLERATED, rows, "covariate", 0.037) for rows in (500, 2000, 20_000)),
)


@dataclass(frozen=True)
class Effort:
    """How much is judged."""

    windows: int  # of each setting, two fifths of them where a window has 20,000 rows
    texts: int  # those of them whose texts are compared; fewer of large windows
    streams: int  # of each kind
    largest: int = 20_000  # rows of a window; settings with more are left out

    def windows_of(self, setting: Setting) -> int:
        """Returns the number of windows of a setting."""
        if setting.rows > self.largest:
            return 0
        is_large = setting.rows > _LARGEST_CHUNK
        return max(1, self.windows * 2 // 5) if is_large else self.windows

    def texts_of(self, setting: Setting) -> int:
        """Returns how many of them have texts, whose time grows with the rows."""
        share = 2 if setting.rows >= _LARGEST_CHUNK else 1
        return max(1, self.texts // share) if setting.has_texts else 0


@dataclass(frozen=True)
class Pair:
    """A window with its reference."""

    setting: int  # its place among `SETTINGS`
    number: int
    reference: Rows
    larger: Rows | None
    window: Rows
    has_texts: bool  # whether its texts are compared

    @property
    def accuracy(self) -> float:
        """The true one of the window."""
        return float(self.window.right.mean())


@dataclass(frozen=True)
class Stream:
    """Weeks with one reference; the first rows of a week are the audited ones."""

    kind: str  # of `STREAM_KINDS`
    number: int
    reference: Rows
    weeks: tuple[Rows, ...]

    @property
    def accuracy(self) -> float:
        """The true one of all weeks."""
        return float(np.mean([week.right.mean() for week in self.weeks]))


def draw_pairs(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Pair]:
    """Draws the windows of all settings."""
    for place, setting in enumerate(SETTINGS):
        for number in range(effort.windows_of(setting)):
            yield draw_pair(
                pools, place, number, has_texts=number < effort.texts_of(setting), seed=seed
            )


def draw_pair(pools: Pools, place: int, number: int, *, has_texts: bool, seed: int) -> Pair:
    """Draws a window of a setting, by a seed of its own."""
    generator = np.random.default_rng([seed, place, number])
    setting = SETTINGS[place]
    shifted = pools.of(setting.kind, setting.size)
    order = generator.permutation(len(shifted.right))
    larger = None
    if setting.rows <= _LARGEST_CHUNK:
        larger = pools.of().draw(CHUNKS * setting.rows, generator)
    return Pair(
        setting=place,
        number=number,
        reference=pools.of().take(order[:REFERENCE_ROWS]),
        larger=larger,
        window=shifted.take(order[REFERENCE_ROWS:][: setting.rows]),
        has_texts=has_texts,
    )


def draw_streams(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Stream]:
    """Draws all streams, quiet ones and ones with reversed labels from the first week on."""
    for kind in STREAM_KINDS:
        for number in range(effort.streams):
            yield draw_stream(pools, kind, number, seed=seed)


def draw_stream(pools: Pools, kind: str, number: int, *, seed: int) -> Stream:
    """Draws a stream, by a seed of its own."""
    generator = np.random.default_rng([seed, len(SETTINGS) + STREAM_KINDS.index(kind), number])
    rows = pools.of("concept", REVERSED) if kind == "drift" else pools.of()
    order = generator.permutation(len(rows.right))
    return Stream(
        kind=kind,
        number=number,
        reference=pools.of().take(order[:REFERENCE_ROWS]),
        weeks=tuple(
            rows.take(order[REFERENCE_ROWS + week * WEEK_ROWS :][:WEEK_ROWS])
            for week in range(WEEKS)
        ),
    )


def write_pair(folder: Path, pair: Pair) -> None:
    """Writes a window and its references, the window without labels."""
    case = folder / WINDOWS / f"{pair.setting:02}" / f"{pair.number:04}"
    window = _table(pair.window, texts=pair.has_texts).drop_columns("label")
    _write(case / "window.parquet", window)
    _write(case / "reference.parquet", _table(pair.reference, texts=pair.has_texts))
    if pair.larger:
        _write(case / "larger.parquet", _table(pair.larger))


def write_stream(folder: Path, stream: Stream) -> None:
    """Writes the weeks and their reference, the weeks with the labels of the audited rows."""
    case = folder / STREAMS / stream.kind / f"{stream.number:04}"
    weeks = [_audited(week, number) for number, week in enumerate(stream.weeks, start=1)]
    _write(case / "weeks.parquet", pa.concat_tables(weeks))
    _write(case / "reference.parquet", _table(stream.reference))


def _audited(week: Rows, number: int) -> pa.Table:
    """Returns a week's rows with its number; only the first ones keep their labels."""
    table = _table(week)
    is_audited = pa.array(np.arange(len(table)) < AUDITED)
    labels = pc.if_else(is_audited, table["label"], pa.scalar(None, pa.int64()))
    table = table.set_column(table.column_names.index("label"), "label", labels)
    return table.append_column("week", pa.array([number] * len(table)))


def _table(rows: Rows, *, texts: bool = False) -> pa.Table:
    # A product or channel is named by its cell: no method here looks at the names.
    columns = {name: pa.array(rows.cells[name]).cast(pa.string()) for name in COLUMNS}
    columns |= {
        "score": pa.array(rows.scores),
        "decision": pa.array(rows.positive.astype(np.int64)),
        "label": pa.array((rows.positive == rows.right).astype(np.int64)),
    }
    return pa.table(columns | ({"text": pa.array(rows.texts.tolist())} if texts else {}))


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
