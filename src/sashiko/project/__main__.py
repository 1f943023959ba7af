"""Builds the wheel of this checkout and its statement of provenance: `make wheel`."""

import sys
from pathlib import Path

from sashiko.project.project_upgrade import build_wheel_with_statement

if __name__ == "__main__":
    print(build_wheel_with_statement(Path(__file__).parents[3], Path(sys.argv[1])).path)
