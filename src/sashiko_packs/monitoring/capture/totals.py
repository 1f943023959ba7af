"""Counts what a read finds."""

import datetime as dt
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko_packs.monitoring.capture.lines import Places
from sashiko_packs.monitoring.capture.record import CaptureProblem, ProblemKind, VersionRows


class Problems:
    """Counts problems, and keeps the first line of each."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._counts: Counter[ProblemKind] = Counter()
        self._first: dict[ProblemKind, int] = {}

    def add(self, kind: ProblemKind, count: int, first: int | None = None) -> None:
        """Adds to a count; `first` is the number of the first line, if there is one."""
        self._counts[kind] += count
        if first is not None:
            self._first[kind] = min(first, self._first.get(kind, first))

    def records(self) -> tuple[CaptureProblem, ...]:
        """Returns the problems that occurred, by kind."""
        return tuple(
            CaptureProblem(
                kind=kind,
                count=count,
                first=self._places.of(self._first[kind]) if kind in self._first else "",
            )
            for kind, count in sorted(self._counts.items())
            if count
        )


class Totals:
    """What each version answered, by the rows that remain."""

    def __init__(self) -> None:
        self._rows: Counter[int | None] = Counter()
        self._requests: Counter[int | None] = Counter()
        self._times: dict[int | None, tuple[dt.datetime, dt.datetime]] = {}
        self._hours: dict[dt.datetime, set[int | None]] = defaultdict(set)
        self._last_number = -1

    def add(self, rows: pa.Table) -> None:
        """Counts rows, at least one, in the order of their lines: a request's are adjacent."""
        numbers = rows["number"].to_numpy()
        is_first = np.diff(numbers, prepend=self._last_number) != 0
        self._last_number = numbers[-1]
        hours = pc.floor_temporal(rows["time"], unit="hour")
        table = pa.table(
            {
                "version": rows["version"],
                "hour": hours,
                "time": rows["time"],
                "request": pa.array(is_first.astype(np.int64)),
            }
        ).group_by(["version", "hour"])
        aggregated = table.aggregate(
            [("request", "count"), ("request", "sum"), ("time", "min"), ("time", "max")]
        )
        for group in aggregated.to_pylist():
            version = group["version"]
            self._rows[version] += group["request_count"]
            self._requests[version] += group["request_sum"]
            first, last = self._times.get(version, (group["time_min"], group["time_max"]))
            self._times[version] = min(first, group["time_min"]), max(last, group["time_max"])
            self._hours[group["hour"]].add(version)

    def shared_hours(self) -> int:
        """Returns how many hours more than one version answered in."""
        return sum(len(versions) > 1 for versions in self._hours.values())

    def versions(self) -> tuple[VersionRows, ...]:
        """Returns what each version answered, by version."""
        return tuple(
            VersionRows(
                version=version,
                requests=self._requests[version],
                rows=self._rows[version],
                first=self._times[version][0],
                last=self._times[version][1],
            )
            for version in sorted(self._rows, key=lambda version: version or 0)
        )
