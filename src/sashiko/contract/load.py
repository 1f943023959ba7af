"""Reading a data contract from its file."""

from pathlib import Path

from sashiko.base.files import sha256_bytes
from sashiko.base.yaml_models import read_yaml
from sashiko.contract.model import Contract

__all__ = ["load_contract"]


def load_contract(path: Path) -> Contract:
    """Reads an ODCS data contract.

    Raises:
        InputError: one line per problem with file, column, key and what to do.
    """
    # The ODCS library takes long to import, and only reading a contract needs it.
    from sashiko.contract.odcs import parse_contract

    document = read_yaml(path)
    return parse_contract(document, source=str(path), sha256=sha256_bytes(path.read_bytes()))
