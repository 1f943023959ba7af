"""The monitor's stores in a test's folder, over a small contract of library loans."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from sashiko.base.parquet import read_columns, write_table
from sashiko.contract.model import Contract
from sashiko.evaluation.reference import NumberCounts
from sashiko_packs.monitoring.audited import LabelSummary
from sashiko_packs.monitoring.labels import AddedLabels, add_labels, create_stores
from sashiko_packs.monitoring.ledger import LEDGER_SCHEMA, Draw, add_rows, delete_keys, draw_period
from sashiko_packs.monitoring.steps.join_labels import join_labels
from sashiko_packs.monitoring.window import Window
from tests.unit.contract.documents import contract_of, document

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LABEL_DAYS = 28


def week(number: int) -> Window:
    return Window(START + 7 * number * DAY, START + 7 * (number + 1) * DAY)


@dataclass
class Stores:
    """Ledger, labels and draws; all answers are `yes` unless a test says otherwise."""

    root: Path
    contract: Contract = field(init=False)
    number: NumberCounts | None = None  # of a label that is a number

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.use(document())

    def use(self, contract: dict) -> None:
        self.contract = contract_of(contract, self.root)
        create_stores(
            ledger=self.folder("ledger"), labels=self.folder("labels"), draws=self.folder("draws"),
            windows=self.folder("windows"),
        )  # fmt: skip

    def folder(self, name: str) -> Path:
        return self.root / name

    def answer(self, keys, *, number=0, time=None, decision="yes", version=7, scores=()) -> None:
        at = time or week(number).start + DAY
        rows = [
            {"key": key, "version": version, "score": score, "decision": decision, "time": at}
            for key, score in zip(keys, scores or [0.5] * len(keys), strict=True)
        ]
        write_table(self.root / "rows.parquet", pa.Table.from_pylist(rows, LEDGER_SCHEMA))
        add_rows(self.folder("ledger"), self.root / "rows.parquet")

    def file(self, text: str, name: str = "labels.csv") -> Path:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, path: Path, *, now: dt.datetime, corrected_by: str | None = None) -> AddedLabels:
        return add_labels(
            path, self.contract, labels=self.folder("labels"), now=now, corrected_by=corrected_by
        )

    def label(self, keys, label, *, now, corrected_by=None) -> AddedLabels:
        rows = "".join(f"{key},{label}\n" for key in keys)
        path = self.file(f"loan_id,late\n{rows}")
        return self.add(path, now=now, corrected_by=corrected_by)

    def draw(self, number: int, *, rows: int = 10, version: int = 7) -> Draw:
        return draw_period(
            self.folder("draws"), self.folder("ledger"), version=version, window=week(number),
            rows=rows,
        )  # fmt: skip

    def delete(self, key: str, *, now: dt.datetime) -> None:
        delete_keys(self.folder("ledger"), [key], now=now, retention=DAY)

    def join(self, number: int, *, now: dt.datetime, version: int = 7) -> LabelSummary:
        folders = {name: self.folder(name) for name in ("ledger", "labels", "draws")}
        return join_labels(
            self.root, **folders, version=version, window=week(number), now=now,
            label_days=LABEL_DAYS, classes=self.contract.classes,
            first_favourable=self.contract.first_favourable, number=self.number,
            above=self.contract.label.above if self.number else None,
        )  # fmt: skip


def keys_of(draw: Draw) -> list[str]:
    return read_columns(draw.path, ["key"])["key"].to_pylist()
