"""The device gate: checks of the device's measurement against the recipe's bounds."""

from sashiko.evaluation.gates.verdict import Check
from sashiko.settings.compile import DeviceSection
from sashiko.steps.device.invocation import Measurement

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
    section: DeviceSection, measurement: Measurement, *, latency_not_judged: str
) -> list[Check]:
    """Compares a measurement with the recipe's bounds.

    Returns:
        Agreement, largest difference and latency, in this order.
    """
    difference = measurement.largest_difference
    checks = [
        Check(
            name="agreement of labels",
            value=measurement.agreement,
            threshold=section.minimum_agreement,
            comparison=">=",
            passed=measurement.agreement >= section.minimum_agreement,
            reason=f"{measurement.answers:,} answers about {measurement.rows:,} rows of the test "
            "split against those of the model that was judged",
            try_=_NUMBERS if measurement.agreement < section.minimum_agreement else "",
        ),
        _at_most(
            "largest difference of a score",
            difference,
            section.maximum_difference,
            reason="over the same answers" if difference is not None else "a score was no number",
            advice=_NUMBERS,
        ),
    ]
    if latency_not_judged:
        return [
            *checks, Check(name="latency", passed=True, reason=latency_not_judged, judged=False)
        ]  # fmt: skip
    reason = "requests of one row, one after the other, as a job in the VPC sees them"
    bounds = (
        ("p50 latency, ms", measurement.p50_ms, section.maximum_p50_ms),
        ("p99 latency, ms", measurement.p99_ms, section.maximum_p99_ms),
    )
    return checks + [
        _at_most(name, value, maximum, reason=reason, advice=_SLOW)
        for name, value, maximum in bounds
    ]


def failed_check(reason: str) -> Check:
    """Returns the failed check of a device that did not answer."""
    return Check(name="answers on the device", passed=False, reason=reason, try_=_CAUSES)


def _at_most(name: str, value: float | None, maximum: float, *, reason: str, advice: str) -> Check:
    passed = value is not None and value <= maximum
    return Check(
        name=name,
        value=value,
        threshold=maximum,
        comparison="<=",
        passed=passed,
        reason=reason,
        try_="" if passed else advice,
    )
