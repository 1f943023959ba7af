"""The results of a check, errors included, as `sashiko doctor` reports them."""

from collections.abc import Iterable

from sashiko.doctor.check_result import Check, run_check


def results(checks: Check | Iterable[Check]) -> list[Check]:
    return list(run_check("it", lambda: checks))
