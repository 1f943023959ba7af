"""Runs a step's `main` and reports bad input as one error."""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from sashiko.base.deprecation import show_deprecations
from sashiko.base.job_folders import opt_ml
from sashiko.errors import InputError, disk_reason, is_full

__all__ = ["run_step"]


def run_step(main: Callable[[], None]) -> None:
    """Runs a step's `main` and exits.

    Bad input, a full disk, or too little memory prints one line on stderr and leaves it in
    `<OPT_ML>/output/failure`, from which SageMaker reads a job's failure reason; the exit status is
    then 1. An internal error keeps its traceback.
    """
    show_deprecations()
    try:
        main()
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        if not is_full(error):
            raise
        _fail(f"cannot write {error.filename or 'an output'}: {disk_reason(error)}")
    except MemoryError as error:
        traceback.print_exc()
        _fail(
            f"there is not enough memory ({str(error) or 'MemoryError'}): close what else is at "
            "work, lift the limit (ulimit -v), or make the step's batches smaller, and run again"
        )


def _fail(reason: str) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    failure = opt_ml() / "output" / "failure"
    with suppress(OSError):  # on a full disk there is only the message on stderr
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(f"{reason}\n")
    sys.exit(1)
