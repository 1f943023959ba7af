"""The device gate: what was measured on the device and a recipe's bounds become checks."""

from sashiko.evaluation.gates.verdict import Check
from sashiko.settings.recipe import DeviceSection
from sashiko.steps.device.asking import Measured

_CAUSES = (
    "look into the endpoint's log group, which outlives it: a Neuron SDK that the driver of "
    "`InferenceAmiVersion` is too old for, more workers than NeuronCores, an artifact of another "
    "compiler than the image's, or a load longer than the start-up timeout all end like this"
)
_NUMBERS = (
    "compile without casting to a smaller type, compare with `largest_difference` in the compile "
    "lock, or allow more in the recipe's `device` section"
)
_SLOW = (
    "smaller `compile.sequence_lengths`, a larger instance for serving, or a bound that the use "
    "allows in the recipe's `device` section"
)


def device_checks(
    section: DeviceSection, measured: Measured, *, latency_not_judged: str
) -> list[Check]:
    """Judges what was measured.

    Args:
        section: the recipe's bounds.
        measured: on the device.
        latency_not_judged: why latency says nothing here; empty where it is judged.

    Returns:
        Agreement, largest difference and latency, in this order.
    """
    different = measured.largest_difference
    checks = [
        Check(
            name="agreement of labels",
            value=measured.agreement,
            threshold=section.minimum_agreement,
            comparison=">=",
            passed=measured.agreement >= section.minimum_agreement,
            reason=f"{measured.answers:,} answers about {measured.rows:,} rows of the test split "
            "against those of the model that was judged",
            try_=_NUMBERS if measured.agreement < section.minimum_agreement else "",
        ),
        _at_most(
            "largest difference of a score",
            different,
            section.maximum_difference,
            reason="over the same answers" if different is not None else "a score was no number",
            advice=_NUMBERS,
        ),
    ]
    if latency_not_judged:
        return [
            *checks, Check(name="latency", passed=True, reason=latency_not_judged, judged=False)
        ]  # fmt: skip
    reason = "requests of one row, one after the other, as a job in the VPC sees them"
    bounds = (
        ("p50 latency, ms", measured.p50_ms, section.maximum_p50_ms),
        ("p99 latency, ms", measured.p99_ms, section.maximum_p99_ms),
    )
    return checks + [
        _at_most(name, value, most, reason=reason, advice=_SLOW) for name, value, most in bounds
    ]


def failed_check(reason: str) -> Check:
    """Makes the check of a device that did not answer as it must."""
    return Check(name="answers on the device", passed=False, reason=reason, try_=_CAUSES)


def _at_most(name: str, value: float | None, most: float, *, reason: str, advice: str) -> Check:
    passed = value is not None and value <= most
    return Check(
        name=name,
        value=value,
        threshold=most,
        comparison="<=",
        passed=passed,
        reason=reason,
        try_="" if passed else advice,
    )
