"""What Bedrock's Custom Model Import takes, from a dated file."""

import datetime as dt
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate

_FILE = Path(__file__).with_name("import_facts.yaml")


class ImportFacts(Frozen):
    """What the service takes, as its guide says."""

    source: str
    read: dt.date  # when the guide was read
    regions: tuple[str, ...] = Field(min_length=1)
    architectures: dict[str, str]  # class in `config.json` -> its family's name in the guide
    dtypes: tuple[str, ...]  # of tensors, in the names of safetensors


def read_import_facts() -> ImportFacts:
    """Reads the file that ships with the engine."""
    return validate(ImportFacts, read_yaml(_FILE), source=_FILE.name)
