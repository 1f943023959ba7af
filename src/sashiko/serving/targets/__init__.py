"""The engine's compile targets, a module each; a project adds its own (docs/change.md)."""

from pathlib import Path

from sashiko.serving import container

# The files that Compile and the serving image run.
CONTAINER = Path(container.__file__).parent
