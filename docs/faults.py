"""The results of the fault harness: `make test-faults` writes them into `faults.md`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.between import between

RESULTS, PAGE = (Path(__file__).with_name(name) for name in ("faults.json", "faults.md"))
_MARKERS = "<!-- results: written by `make test-faults` -->\n", "<!-- end of the results -->\n"


def faults_page() -> str:
    """Returns the page with the results that stand in `faults.json`."""
    rows: Sequence[Mapping[str, Any]] = json.loads(RESULTS.read_text())
    return between(PAGE, _MARKERS, "\n".join(["", *_tables(rows), ""]))


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for pipeline in dict.fromkeys(row["pipeline"] for row in rows):
        of_it = [row for row in rows if row["pipeline"] == pipeline]
        total = sum(row["number"] for row in of_it)
        yield f"## {'The short pipeline' if pipeline == 'short' else f'`{pipeline}`'}\n"
        yield "| fault | times without a loss |\n|---|---|"
        yield from (f"| {row['fault']} | {row['number']} |" for row in of_it)
        yield f"| **all** | **{total}** |\n"
        for machine, date, seed in dict.fromkeys(
            (row["machine"], row["date"], row["seed"]) for row in of_it
        ):
            yield f"{machine}; {date}; `FAULTS_SEED={seed} make test-faults`.\n"
