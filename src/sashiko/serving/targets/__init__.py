"""The engine's compile targets, a module each; a project adds its own (docs/change.md)."""

from pathlib import Path

from sashiko.serving import container

__all__ = ["CONTAINER"]

# The files that Compile and the serving image run; those that each artifact contains, and those
# that run the trained model in an accelerator's.
CONTAINER = Path(container.__file__).parent
HANDLER = ("backend.py", "bundle.py", "inference.py", "payload.py", "scorer.py", "text.py")
EAGER = ("classifier.py", "eager_backend.py")
