"""What a closed gate says: short enough for SageMaker, and read back whatever stands around it."""

import json

import pytest

from sashiko.evaluation.gates.closed_gate import GateClosedError, closing_summary

# FailureReason of PipelineExecutionStep, SageMaker API reference.
MOST = 1024
LONG = [
    f"{gate}: 9 of 9 checks failed\n"
    + "\n".join(f"- check {n}: zu früh, „{gate}“" for n in range(40))
    for gate in ("data-quality", "data-quality-facets", "model-quality", "bias")
]


def response(message: str) -> str:
    """What Lambda answers when a function raises (Lambda Developer Guide, python-exceptions)."""
    error = {
        "errorMessage": message,
        "errorType": "GateClosedError",
        "requestId": "0b5b3a8e-6f1f-4d8a-8b43-0c1f9b0f3f51",
        "stackTrace": ['  File "/var/task/sashiko/functions/gatekeeper.py", line 36, in handler\n'],
    }
    return json.dumps(error)


def test_four_long_summaries_fit_and_none_of_them_is_lost() -> None:
    assert all(len(summary) > 1000 for summary in LONG)
    closed = GateClosedError(LONG)
    reason = f"Step failed: {response(str(closed))}"[:MOST]
    text = closing_summary(reason)
    assert text is not None
    lines = text.splitlines()
    for summary in LONG:
        head, first = summary.splitlines()[:2]
        assert head in lines
        assert first in lines
    assert text.count("...") == 4
    assert closed.summary == "\n".join(LONG)
    assert "requestId" in reason  # so nothing of the message was cut off


def test_short_summaries_stay_whole_beside_a_long_one() -> None:
    short = "bias: 1 of 2 checks failed\n- DI gender=female = 0.7, required >= 0.8"
    summary = closing_summary(str(GateClosedError([LONG[0], short])))
    assert summary is not None
    assert summary.endswith(f"...\n{short}")
    assert len(summary) > 500  # the long one has what the short one leaves
    assert closing_summary(str(GateClosedError([short]))) == short


@pytest.mark.parametrize(
    "around", ["{}", "ClientError: {}", "GateClosedError: {} (Service: AWSLambda)"]
)
def test_the_message_is_extracted_whatever_stands_around_it(around: str) -> None:
    summary = closing_summary(around.format(GateClosedError(['a "b"\nc'])))
    assert summary is not None
    assert summary.startswith('a "b"\nc')


@pytest.mark.parametrize("cut", [None, 60, 46, 45, 44])
def test_the_message_is_extracted_from_lambdas_own_words(cut: int | None) -> None:
    text = 'a "ü"\nc'
    summary = closing_summary(response(str(GateClosedError([text])))[:cut])
    assert summary is not None
    assert summary == text if cut is None else summary.startswith("a ")


@pytest.mark.parametrize(
    "reason",
    ["", "AccessDenied", response("KeyError: 'passed'"), "2026-11-27 Task timed out after 60.00 s"],
)
def test_a_fault_of_the_function_is_no_closed_gate(reason: str) -> None:
    assert closing_summary(reason) is None
