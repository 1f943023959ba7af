"""What a check says, its faults told as the doctor tells them."""

from collections.abc import Iterable

from sashiko.aws.operations.doctor.check import Check, told


def looked(checks: Check | Iterable[Check]) -> list[Check]:
    return list(told("it", lambda: checks))
