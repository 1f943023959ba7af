"""Counts the faults by kind, after each of which nothing was lost."""

import json
import os
import platform
from collections import Counter
from datetime import UTC, datetime

from docs.faults import PAGE, RESULTS, faults_page
from sashiko.core.files import canonical_json, write_bytes


class Ledger:
    """Counts faults that were come through; one that was not ends its test before it counts."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, pipeline: str, fault: str) -> None:
        """Counts a fault after which all that must hold held, and the next run worked.

        Args:
            pipeline: `short`, or the name of a recipe.
            fault: its kind.
        """
        self._counts[pipeline, fault] += 1

    def keep(self) -> None:
        """Writes the results in place of earlier ones of the same kinds, and the page."""
        earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        others = [row for row in earlier if (row["pipeline"], row["fault"]) not in self._counts]
        machine = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}",
            "seed": self._seed,
        }
        rows = [
            {"pipeline": pipeline, "fault": fault, "number": number} | machine
            for (pipeline, fault), number in self._counts.items()
        ]
        rows = sorted(others + rows, key=lambda row: (row["pipeline"] != "short", row["fault"]))
        write_bytes(RESULTS, canonical_json(rows))
        write_bytes(PAGE, faults_page().encode())
