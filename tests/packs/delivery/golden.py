"""The logical ids of stateful resources in the tools' account."""

from pathlib import Path

from sashiko.base.files import canonical_json
from tests.golden.rewrite import stateful_ids
from tests.infra.delivery import delivery_folder

IDS = Path(__file__).parent / "stateful_ids.json"


def golden() -> dict[Path, bytes]:
    """Path -> content."""
    return {IDS: canonical_json(stateful_ids(delivery_folder()))}
