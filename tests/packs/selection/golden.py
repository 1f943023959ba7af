"""The JSON Schema of a selection's file."""

from pathlib import Path

from sashiko.base.files import canonical_json
from sashiko_packs.selection.file import Selection

SCHEMA = Path(__file__).parents[3] / "schemas/selection.schema.json"


def golden() -> dict[Path, bytes]:
    """Path -> content."""
    return {SCHEMA: canonical_json(Selection.model_json_schema())}
