"""Where a selection leaves its record for the runs of the recipe that it chose."""

from pathlib import Path

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.settings.recipe import Recipe

SELECTIONS = "selections"  # folder of the home: one folder a selection, and `chosen/`
SELECTION_FILE = "selection.json"


def recipe_sha256(recipe: Recipe) -> str:
    """Returns the digest of a recipe's content."""
    return sha256_bytes(canonical_json(recipe.model_dump(mode="json")))


def chosen_record(recipe: Recipe, *, home: Path) -> Path:
    """Returns the file with the newest selection that chose a recipe as it is; it may not exist."""
    return home / SELECTIONS / "chosen" / f"{recipe_sha256(recipe)}.json"
