"""The files of a version that say where it comes from.

The manifest names the statements about what the model was made in. The statement about the model
names the manifest, so the manifest cannot name it: in an account it is signed by itself.
"""

from typing import Final

STATEMENT_FILE: Final = "provenance.json"  # about the model, unsigned
ENVELOPE_FILE: Final = "provenance.intoto.json"  # the same, in a signed envelope
FOLDER: Final = "provenance"  # of the statements about images and the engine's wheel
WHEEL_FILE: Final = f"{FOLDER}/wheel.json"


def image_statement_file(image: str) -> str:
    """Names the file about an image; `image` is its URI by tag."""
    return f"{FOLDER}/{image.rpartition('/')[2].partition(':')[0]}.json"
