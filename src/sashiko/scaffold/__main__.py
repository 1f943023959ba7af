"""Builds the wheel of this checkout: `make wheel`."""

import sys
from pathlib import Path

from sashiko.scaffold.wheel import build_wheel

if __name__ == "__main__":
    print(build_wheel(Path(__file__).parents[3], Path(sys.argv[1])).path)
