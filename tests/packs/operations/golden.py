"""What each environment costs a month while nobody uses it."""

from pathlib import Path

from sashiko.account.prices import read_prices
from sashiko.account.templates import read_templates
from sashiko.base.files import canonical_json
from sashiko_packs.operations.idle_cost import idle_cost, lines
from tests.infra.variants import settings_of, synthesized

FOLDER = Path(__file__).parent / "golden_files"


def golden() -> dict[Path, bytes]:
    """Path -> content."""
    files = {}
    for name in ("dev", "prod", "serving", "serving_prod"):
        settings = settings_of(name)
        templates = read_templates(settings, folder=synthesized(name))
        idle = {"lines": lines(idle_cost(templates, read_prices(settings)))}
        files[FOLDER / f"idle_cost.{name}.json"] = canonical_json({"idle": idle})
    return files
