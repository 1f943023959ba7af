"""The engine's compile targets, a module each; a project adds its own (docs/change.md)."""

from pathlib import Path

from sashiko.serving import container

__all__ = ["CONTAINER"]

# The folder of the files that Compile and the serving image run.
CONTAINER = Path(container.__file__).parent
# In each artifact.
HANDLER = (
    "backend.py", "bundle.py", "inference.py", "linear.py", "number.py", "payload.py", "prompt.py",
    "scorer.py", "text.py",
)  # fmt: skip
# In an accelerator's artifact too: they run the trained model itself.
EAGER = ("classifier.py", "eager_backend.py")
