"""What the report says of a device that nobody checked."""

from pathlib import Path

from sashiko.gates.verdict import not_judged
from sashiko.report.decision import outcome
from sashiko.report.evidence import read_evidence
from sashiko.report.gates import gate_views, notices, verdicts
from tests.unit.report.runs import registered


def test_a_device_that_was_not_checked_is_never_said_to_have_passed(tmp_path: Path) -> None:
    folder = registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    off = not_judged(gate="device", reason="it was switched off")
    found = verdicts(evidence) | {"DeviceCheck": off}

    view = gate_views(found)[-1]
    assert (view.name, view.mark, view.checks) == ("device", None, ())
    assert view.absent == "Not judged: it was switched off."
    assert notices(evidence, found) == ("Device not checked: it was switched off",)
    headline = outcome(evidence, found).headline
    assert headline.startswith("All 4 gates passed")
    assert "Device not checked: it was switched off." in headline
