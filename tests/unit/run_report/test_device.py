"""What the report says of a device that nobody checked."""

from sashiko.evaluation.gates.verdict import Check, decide, not_judged
from sashiko.report.evidence import read_evidence
from sashiko.report.gate_views import gate_views, verdicts
from sashiko.run_report.decision import outcome
from sashiko.run_report.headline import summary
from tests.unit.run_report.runs import registered


def test_a_device_that_was_not_checked_is_never_reported_as_passed(tmp_path):
    folder = registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    off = not_judged(gate="device", reason="it was switched off")
    results = verdicts(evidence) | {"DeviceCheck": off}

    view = gate_views(results)[-1]
    assert (view.name, view.mark, view.checks) == ("device", None, ())
    assert view.absent == "Not judged: it was switched off."
    assert "device, every check: it was switched off" in summary(evidence, results).unjudged
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 4 gates passed, with 4 checks; not judged: device.")


def test_latency_that_was_not_judged_is_never_reported_as_passed(tmp_path):
    folder = registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    checks = [
        Check(name="agreement", value=1, threshold=0.99, comparison=">=", passed=True),
        Check(name="latency", passed=True, reason="not the device", judged=False),
    ]
    results = verdicts(evidence) | {"DeviceCheck": decide(gate="device", checks=checks, inputs={})}

    view = gate_views(results)[-1]
    marks = {check.name: check.mark.text for check in view.checks}
    assert marks == {"agreement": "✓ passed", "latency": "– not judged"}
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 5 gates passed, with 5 checks; not judged: latency.")
    assert "device, latency: not the device" in summary(evidence, results).unjudged
