"""The view models of the page: texts, tables and figures, ready to render."""

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

OutcomeKind = Literal["registered", "waiting", "waived", "blocked", "failed", "interrupted"]
MarkKind = Literal[
    "passed", "spans", "suspicious", "failed", "waived", "reported", "unjudged", "ungated",
    "partly", "ok", "alarm",
]  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A name and its value; `code` is set in a fixed-width face."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True)
class Mark:
    """An outcome as a symbol and a word, so that it does not depend on colour."""

    kind: MarkKind

    @property
    def text(self) -> str:
        """The symbol and the word."""
        return {
            "passed": "✓ passed", "spans": "! passed, interval spans the bound",
            "suspicious": "! suspicious", "failed": "✕ failed", "waived": "✕ failed, waived",
            "reported": "– reported", "unjudged": "– not judged", "ungated": "– no gate judges it",
            "partly": "– partly judged", "ok": "✓ ok", "alarm": "✕ alarm",
        }[self.kind]  # fmt: skip


@dataclass(frozen=True)
class CheckView:
    """A check: the measured and the required value, the reason, and the advice."""

    name: str
    meaning: str
    value: str
    interval: str
    required: str
    mark: Mark
    reason: str
    advice: str


@dataclass(frozen=True)
class Outcome:
    """The decision, first on the page."""

    kind: OutcomeKind
    word: str
    headline: str
    reasons: tuple[CheckView, ...] = ()
    details: tuple[str, ...] = ()  # further sentences: what to do next, what was registered
    commands: tuple[str, ...] = ()
    points: tuple[str, ...] = ()  # what to look at before deciding
    log: str = ""
    to_sign: bool = False  # whether a registered model waits for somebody's decision


@dataclass(frozen=True)
class Tile:
    """A key figure of the first screen."""

    name: str
    value: str  # or why there is none
    interval: str = ""
    note: str = ""  # what it is held against
    mark: Mark | None = None


@dataclass(frozen=True)
class Cell:
    """A table's cell: text, and its interval or meaning if it has one."""

    text: str
    interval: str = ""
    meaning: str = ""
    number: bool = False
    code: bool = False
    mark: Mark | None = None


RowStyle = Literal["", "ours", "failed"]


@dataclass(frozen=True)
class Row:
    """A table's row; its first cell is its heading."""

    cells: tuple[Cell, ...]
    style: RowStyle = ""


def row(*values: str | int | Cell, style: RowStyle = "") -> Row:
    """Returns a row of texts, whole numbers (with thousands separators) and cells."""
    cells = [numeric(f"{value:,}") if isinstance(value, int) else value for value in values]
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def numeric(text: str) -> Cell:
    """Returns the cell of a number."""
    return Cell(text, number=True)


@dataclass(frozen=True)
class Table:
    """A table; `absent` says why there is none."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    note: str = ""
    absent: str = ""
    folded: bool = False
    mark: Mark | None = None  # of a gate's checks: its outcome

    def is_numeric(self, column: int) -> bool:
        """Whether a column has numbers, with which its heading is aligned."""
        return any(item.cells[column].number for item in self.rows)


@dataclass(frozen=True)
class Figure:
    """A picture with its caption; `absent` says why there is none."""

    title: str
    svg: Markup | None = None
    caption: str = ""
    absent: str = ""


Side = Literal["positive", "negative"]


@dataclass(frozen=True)
class Part:
    """A word of a text, or the text between two words."""

    text: str
    column: str
    side: Side = "positive"  # the label that it speaks for
    level: int = 0  # how much, from 0 (not marked) to 2
    effect: str = ""


@dataclass(frozen=True)
class Passage:
    """A text with its important words marked; `note` describes it, or says why it is missing."""

    title: str
    note: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, facts, tables, pictures."""

    anchor: str
    title: str
    absent: str = ""  # why the section is empty; nothing else is shown then
    warnings: tuple[str, ...] = ()  # what a reader must not miss, said first and in bold
    statements: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()  # (title, file content) pairs, folded
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """Sections under one heading, beginning on a page of their own on paper."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Page:
    """A whole page: on its first screen what was decided or is to be, then chapters."""

    title: str
    subject: str  # which run, window or selection
    outcome: Outcome
    chapters: tuple[Chapter, ...]
    source: str  # the files that it was written from
    tiles: tuple[Tile, ...] = ()
    harms: tuple[str, ...] = ()  # the largest differences between groups, in words
    unjudged: tuple[str, ...] = ()  # what nobody judged, and why
