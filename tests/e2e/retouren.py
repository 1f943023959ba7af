"""The returns of a German shop, as a spreadsheet there writes them.

    python tests/e2e/retouren.py "Retouren 2025.csv"

Semicolons, decimal commas, dd.mm.yyyy, Windows-1252, customer numbers and postcodes, two columns of
groups, and 40 rows that were loaded twice. All of it is made up.
"""

import csv
import datetime as dt
import random
import sys
from pathlib import Path

ROWS, REPEATED = 3000, 40
_OPENED = dt.date(2025, 1, 2)
_GOOD = ("kam zerbrochen an", "ließ sich nie einschalten", "war der falsche Artikel", "hatte Risse")
_BAD = ("gefällt mir nicht", "wurde einen Monat getragen", "gibt es günstiger", "passt nicht dazu")
_ITEMS = {
    "Küche": ("Wasserkocher", "Kaffeemühle"),
    "Garten": ("Gartenstuhl", "Sonnenschirm"),
    "Büro": ("Schreibtischlampe", "Bürostuhl"),
}
_ENDS = ("bitte um Hilfe", "ich möchte mein Geld zurück", "so geht das nicht")


def make_retouren(path: Path, *, seed: int = 11) -> None:
    """Writes the rows; the same seed gives the same bytes."""
    dice = random.Random(seed)  # noqa: S311 - rows, no secrets
    customers = dice.sample(range(2_000_000, 2_400_000), 1900)
    made = [_row(number, dice, customers) for number in range(ROWS)]
    made += dice.sample(made, REPEATED)
    with path.open("w", encoding="windows-1252", newline="") as handle:
        writer = csv.DictWriter(handle, list(made[0]), delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(made)


def read_texts(path: Path) -> list[str]:
    """Returns what the customers wrote."""
    with path.open(encoding="windows-1252", newline="") as handle:
        return [row["Begründung"] for row in csv.DictReader(handle, delimiter=";")]


def _row(number: int, dice: random.Random, customers: list[int]) -> dict[str, object]:
    good = dice.random() < 0.4
    granted = good if dice.random() < 0.92 else not good
    kind = dice.choice([*_ITEMS])
    opinion = dice.choice(_GOOD if good else _BAD)
    return {
        "Vorgangsnummer": f"V-{40_000 + number}",
        "Kundennummer": dice.choice(customers),
        "PLZ": f"{dice.randint(1067, 99998):05d}",
        "Anrede": (anrede := dice.choice(("Frau", "Herr"))),
        "Geschlecht": "weiblich" if anrede == "Frau" else "männlich",
        "Altersgruppe": dice.choice(("18-34", "35-59", "60+")),
        "Eingang": f"{_OPENED + dt.timedelta(days=number // 10):%d.%m.%Y}",
        "Warengruppe": kind,
        "Preis (€)": _german(dice.uniform(5, 2400), 2),
        "Gewicht in g": f"{dice.randint(200, 14_000):,}".replace(",", "."),
        "Begründung": f"{dice.choice(_ITEMS[kind])} {opinion}, {dice.choice(_ENDS)}.",
        "Erstattet": "Ja" if granted else "Nein",
    }


def _german(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


if __name__ == "__main__":
    make_retouren(Path(sys.argv[1]))
