"""The rows of docs/pitfalls.md, their proofs, and `mutations.yaml`: what makes their tests fail."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

TABLE = Path(__file__).parent / "mutations.yaml"
PROOFS = Path(__file__).parent / "proofs.csv"
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/pitfalls.md"
_ROW = re.compile(r"\| (?P<number>[A-Z]\d+) \|")


@dataclass(frozen=True)
class Row:
    """A row of the page's tables, as it is written, with what proves its guard."""

    number: str  # such as `C6`
    text: str
    proofs: tuple[str, ...]  # tests as pytest has them, and `rule <name>` for a rule of synth

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests among the proofs."""
        return tuple(proof for proof in self.proofs if "::" in proof)

    @property
    def is_open(self) -> bool:
        """Says whether the row admits that a part of it has no proof."""
        return "*open*" in self.text


def of_missing_pack(file: str) -> bool:
    """Says whether a file is of a pack that this copy has been left without."""
    folder = re.match(r"(?:tests/packs|src/sashiko_packs)/\w+(?=/)", file)
    return folder is not None and not (ROOT / folder[0]).is_dir()


def read_proofs() -> dict[str, tuple[str, ...]]:
    """Reads row -> proofs, of `proofs.csv`."""
    proofs: dict[str, tuple[str, ...]] = {}
    with PROOFS.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            proofs[line["pitfall"]] = (*proofs.get(line["pitfall"], ()), line["proof"])
    return proofs


def read_rows() -> dict[str, Row]:
    """Reads number -> row of the page's tables, in their order."""
    proofs = read_proofs()
    return {
        match["number"]: Row(match["number"], line, proofs.get(match["number"], ()))
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if (match := _ROW.match(line))
    }


class Mutation(Frozen):
    """One small change of a guard."""

    file: str  # that is changed, below the repository's root
    there: str = Field(min_length=1)  # what is there; it occurs exactly once
    put: str  # in its place
    caught_by: tuple[str, ...] = Field(
        min_length=1
    )  # what must fail, which `proofs.csv` names for the row
    slow: bool = False  # whether the tests take longer than the short form has time for


class _Table(Frozen):
    pitfalls: dict[str, tuple[Mutation, ...]]


@dataclass(frozen=True)
class Guard:
    """A mutation, and the row that it is of."""

    row: Row
    mutation: Mutation

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that must fail, as pytest has them."""
        return tuple(
            test for test in self.row.tests if test.partition("::")[2] in self.mutation.caught_by
        )


def read_table(path: Path = TABLE) -> tuple[Guard, ...]:
    """Reads the table and checks it against the page, the proofs and the code.

    Raises:
        InputError: names every row without an entry, every entry without a row, every test that
            is no proof of its row, and every `there` that does not occur exactly once.
    """
    entries = validate(_Table, read_yaml(path), source=str(path)).pitfalls
    rows = read_rows()
    if faults := [*_unmatched(entries, rows), *_misfits(entries, rows)]:
        raise InputError(f"{path} does not fit:\n" + "\n".join(f"  {fault}" for fault in faults))
    return tuple(Guard(row, mutation) for row in rows.values() for mutation in entries[row.number])


_Entries = Mapping[str, tuple[Mutation, ...]]


def _unmatched(entries: _Entries, rows: Mapping[str, Row]) -> Iterator[str]:
    for row in rows.values():
        if row.number not in entries:
            yield f"row {row.number} has no entry; one without a test that could fail is `[]`"
        elif not entries[row.number] and not row.is_open:
            yield f"row {row.number} has no mutation, and does not say *open*"
    for number in entries:
        if number not in rows:
            yield f"docs/pitfalls.md has no row {number}"


def _misfits(entries: _Entries, rows: Mapping[str, Row]) -> Iterator[str]:
    for row in rows.values():
        names = {test.partition("::")[2] for test in row.tests}
        for mutation in entries.get(row.number, ()):
            for name in mutation.caught_by:
                if name not in names:
                    yield f"row {row.number}: proofs.csv names no test {name}"
            file = ROOT / mutation.file
            times = file.read_text("utf-8").count(mutation.there) if file.is_file() else 0
            if times != 1:
                yield (
                    f"row {row.number}: {mutation.file} has {times} of, where one is due: "
                    f"{mutation.there.strip()!r}"
                )
            if mutation.there == mutation.put:
                yield f"row {row.number}: {mutation.file}: what is put there is what is there"
