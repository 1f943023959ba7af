"""Loans as a German bank exports them, in UTF-16, of which 6 % end in default.

    python tests/e2e/loans.py loans.csv           # 12,000 rows
    python tests/e2e/loans.py leaking.csv --leaks # and what came after the default

The default depends on income, rate, earlier reminders and what the applicant wrote. All of it is
made up.
"""

import csv
import datetime as dt
import math
import random
import sys
from pathlib import Path

ROWS = 12_000
LEAKS = ("Inkassostatus", "Abgeschriebener Betrag", "Ausfalldatum")
_OPENED = dt.date(2023, 1, 2)
_PURPOSES = ("Auto", "Umschuldung", "Küche", "Reise", "Renovierung")
_STEADY = ("feste Stelle seit Jahren", "zweites Gehalt im Haushalt", "Rücklagen vorhanden")
_STRAINED = ("Konto oft im Minus", "gerade die Stelle gewechselt", "mehrere laufende Raten")


def make_loans(path: Path, *, rows: int = ROWS, leaks: bool = False, seed: int = 5) -> None:
    """Writes the rows; the same seed gives the same bytes."""
    dice = random.Random(seed)  # noqa: S311 - rows, no secrets
    made = [_row(number, dice, rows=rows) for number in range(rows)]
    if leaks:
        made = [row | _leaks(row, dice) for row in made]
    with path.open("w", encoding="utf-16", newline="") as handle:
        writer = csv.DictWriter(handle, list(made[0]), delimiter="\t", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(made)


def read_texts(path: Path) -> list[str]:
    """Returns what the applicants wrote."""
    with path.open(encoding="utf-16", newline="") as handle:
        return [row["Angaben zur Person"] for row in csv.DictReader(handle, delimiter="\t")]


def _row(number: int, dice: random.Random, *, rows: int) -> dict[str, object]:
    income = dice.lognormvariate(7.8, 0.4)
    amount = dice.uniform(1000, 30_000)
    reminders = dice.choice((0, 0, 0, 0, 1, 1, 2))
    strained = dice.random() < 0.3
    risk = -4.4 + 0.9 * reminders + 1.2 * strained + 0.6 * math.log(amount / income / 4)
    defaulted = dice.random() < 1 / (1 + math.exp(-risk))
    words = dice.choice(_STRAINED if strained else _STEADY)
    phone = f", erreichbar unter 0171 {dice.randint(1_000_000, 9_999_999)}"
    return {
        "Vertragsnummer": f"K{100_000 + number}",
        "Geschlecht": dice.choice("mw"),
        "Antragsdatum": f"{_OPENED + dt.timedelta(days=900 * number // rows):%d.%m.%Y}",
        "Nettoeinkommen": _german(income),
        "Kreditbetrag": _german(amount),
        "Mahnungen": reminders,
        "Verwendung": dice.choice(_PURPOSES),
        "Angaben zur Person": f"{dice.randint(20, 70)} Jahre alt, {words}"
        f"{phone if dice.random() < 0.2 else ''}.",
        "Ausfall": "ja" if defaulted else "nein",
    }


def _leaks(row: dict[str, object], dice: random.Random) -> dict[str, object]:
    """Returns the columns that a bank fills in after a default."""
    if row["Ausfall"] == "nein":
        return dict(zip(LEAKS, ("", "0,00", ""), strict=True))
    status = dice.choice(("übergeben", "tituliert", "Ratenplan"))
    day = dt.date(2025, 9, 1) + dt.timedelta(days=dice.randint(0, 200))
    return dict(zip(LEAKS, (status, _german(dice.uniform(100, 20_000)), f"{day:%d.%m.%Y}"),
                    strict=True))  # fmt: skip


def _german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


if __name__ == "__main__":
    make_loans(Path(sys.argv[1]), leaks="--leaks" in sys.argv)
