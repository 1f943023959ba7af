"""A data set as a team brings it: names with blanks and capitals, dates, 300 product codes.

    python tests/e2e/returns.py "Shop Returns.csv"

Made-up returns of a shop, and whether the money was given back.
"""

import csv
import datetime as dt
import random
import sys
from pathlib import Path

ROWS = 1600
_OPENED = dt.date(2025, 1, 6)
_GOOD = ("arrived broken", "never worked", "wrong item in the box", "lid cracked on the first day")
_BAD = ("changed my mind", "worn for a month", "colour not to my taste", "found it cheaper")
_ITEMS = ("kettle", "rain coat", "desk lamp", "garden chair", "rucksack", "coffee mill")


def make_returns(path: Path, *, rows: int = ROWS, seed: int = 7) -> None:
    """Writes the rows as CSV; the same seed gives the same bytes."""
    dice = random.Random(seed)  # noqa: S311 - rows, no secrets
    codes = [f"{'ABCDEF'[n % 6]}-{1000 + 7 * n}" for n in range(300)]
    made = [_row(number, dice, code=codes[number % 300]) for number in range(rows)]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)


def read_texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as handle:
        return [row["What The Customer Wrote"] for row in csv.DictReader(handle)]


def _row(number: int, dice: random.Random, *, code: str) -> dict[str, object]:
    good = dice.random() < 0.4
    item, day = dice.choice(_ITEMS), _OPENED + dt.timedelta(days=number // 5)
    refunded = good if dice.random() < 0.9 else not good
    name = f"{dice.choice(('Ana', 'Bo', 'Cem', 'Dora'))} {dice.choice(('Lind', 'Okoro', 'Silva'))}"
    return {
        "Return No": f"R{number:06d}",
        "Opened On": day.isoformat(),
        "Customer Name": name,
        "E-Mail": f"{name.lower().replace(' ', '.')}{number}@example.org",
        "Age Group": dice.choice(("18-34", "35-59", "60+")),
        "Product Code": code,
        "Price (EUR)": f"{dice.uniform(5, 120):.2f}",
        "Days Since Purchase": dice.randint(1, 60) if dice.random() < 0.97 else "",
        "Sales Channel": dice.choice(("Web", "Shop", "Phone")),
        "What The Customer Wrote": (
            f"The {item} {dice.choice(_GOOD if good else _BAD)}, bought {dice.randint(1, 60)} days "
            f"ago; {dice.choice(('please help', 'I want my money back', 'this is not good'))}."
        ),
        "Refund Granted": "Yes" if refunded else "No",
    }


if __name__ == "__main__":
    make_returns(Path(sys.argv[1]))
