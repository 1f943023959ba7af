"""Golden files in parts: the core's here, and each pack's in the folder `golden` of its tests.

A pack's part goes with its folder, and what stays is golden without it. New entries come into the
core's part; an entry that a pack adds is moved to the pack's by hand, and `make test-without` shows
one that was forgotten.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.base.files import canonical_json

Entries = Mapping[str, Mapping[str, Any]]
_TESTS = Path(__file__).parents[1]


def paths(name: str) -> tuple[Path, ...]:
    """Returns the parts of a golden file, the core's first."""
    return (_TESTS / "golden" / name, *sorted(_TESTS.glob(f"packs/*/golden/{name}")))


def read_parts(name: str) -> dict[str, dict[str, Any]]:
    """Reads all parts of a golden file: group -> entry -> value."""
    merged: dict[str, dict[str, Any]] = {}
    for path in paths(name):
        for group, entries in json.loads(path.read_text(encoding="utf-8")).items():
            merged.setdefault(group, {}).update(entries)
    return merged


def write_parts(name: str, content: Entries) -> dict[Path, bytes]:
    """Path -> content of the parts of a golden file: entries of packs stay in their parts."""
    core, *of_packs = paths(name)
    rest = {group: dict(entries) for group, entries in content.items()}
    files = {}
    for path in of_packs:
        own = json.loads(path.read_text(encoding="utf-8"))
        part = {
            group: {
                entry: rest[group].pop(entry) for entry in entries if entry in rest.get(group, {})
            }
            for group, entries in own.items()
        }
        files[path] = canonical_json({group: entries for group, entries in part.items() if entries})
    return files | {
        core: canonical_json({group: entries for group, entries in rest.items() if entries})
    }
