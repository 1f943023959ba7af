"""A check as a small bar: the allowed range, the interval and the number, on one line."""

import math

from markupsafe import Markup

from sashiko.evaluation.gates.verdict import Check

_WIDTH, _HEIGHT, _EDGE = 180, 22, 8


def range_bar(check: Check) -> Markup | None:
    """Draws a check, or returns None if it has no number or no bound.

    The picture repeats the numbers that stand beside it in words, so it has no text of its own.
    """
    allowed = allowed_range(check)
    if check.value is None or allowed is None:
        return None
    numbers = [check.value, check.low, check.high, *allowed]
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    low, high = min(finite), max(finite)
    air = (high - low) * 0.15 or abs(high) * 0.15 or 1.0
    low, high = low - air, high + air

    def x(number: float) -> float:
        share = (min(max(number, low), high) - low) / (high - low)
        return _EDGE + share * (_WIDTH - 2 * _EDGE)

    middle = _HEIGHT / 2
    left, right = x(allowed[0]), x(allowed[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bar" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'aria-hidden="true">',
        f'<rect class="allowed" x="{left:.1f}" y="2" width="{right - left:.1f}" '
        f'height="{_HEIGHT - 4}"/>',
        f'<path class="axis" d="M{_EDGE} {middle}H{_WIDTH - _EDGE}"/>',
    ]
    parts += [
        f'<path class="bound" d="M{x(bound):.1f} 2V{_HEIGHT - 2}"/>'
        for bound in allowed
        if math.isfinite(bound)
    ]
    if check.low is not None and check.high is not None:
        parts.append(
            f'<path class="interval" d="M{x(check.low):.1f} {middle}H{x(check.high):.1f}"/>'
        )
    position = x(check.value)
    if check.passed:
        parts.append(f'<circle class="value" cx="{position:.1f}" cy="{middle}" r="4.5"/>')
    else:
        cross = f"M{position - 4.5:.1f} {middle - 4.5}l9 9m0 -9l-9 9"
        parts.append(f'<path class="value crossed" d="{cross}"/>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - made of numbers alone


def allowed_range(check: Check) -> tuple[float, float] | None:
    """Returns the allowed range of a check; a missing bound is infinite."""
    match check.threshold, check.comparison:
        case (float(low), float(high)), "in_range":
            return low, high
        case float(bound), ">=" | ">":
            return bound, math.inf
        case float(bound), "<=" | "<":
            return -math.inf, bound
    return None
