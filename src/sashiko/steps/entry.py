"""What every step's `__main__` does: run, and end with one clear error on bad input."""

import sys
from collections.abc import Callable

from sashiko.errors import InputError
from sashiko.paths import opt_ml


def run_step(main: Callable[[], None]) -> None:
    """Runs a step's `main` and exits.

    Bad input prints one line on stderr and leaves it in `<OPT_ML>/output/failure`, where
    SageMaker looks for a job's failure reason; the exit status is then 1. An internal fault keeps
    its traceback.
    """
    try:
        main()
    except InputError as error:
        failure = opt_ml() / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(f"{error}\n")
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
