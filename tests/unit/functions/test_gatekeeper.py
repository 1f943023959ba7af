"""The gatekeeper: what lets a run go on, what stops it, and what is neither."""

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from moto import mock_aws

from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.evaluation.gates.verdict import Check, Verdict, decide, write_verdict
from sashiko.functions.gatekeeper_handler import handler, judge

BUCKET = "acme-dev-artifacts"


def verdict(gate: str, *, passed: bool) -> Verdict:
    check = Check(name="auc", value=0.6, passed=passed, reason="as it is")
    return decide(gate=gate, checks=[check], inputs={})


def read(uri: str) -> bytes:
    return Path(uri).read_bytes()


def verdict_file(folder: Path, *, passed: bool, gate: str = "data-quality") -> str:
    return str(write_verdict(verdict(gate, passed=passed), folder / gate))


def test_verdicts_that_passed_let_a_run_go_on(tmp_path):
    uri = verdict_file(tmp_path, passed=True)
    assert judge({"Validate": uri, "ValidateFacets": uri}, read) == {"passed": True}


def test_one_failed_verdict_stops_it_with_its_words_alone(tmp_path):
    event = {
        "Validate": verdict_file(tmp_path, passed=True),
        "ValidateFacets": verdict_file(tmp_path, passed=False, gate="data-quality-facets"),
    }
    with pytest.raises(GateClosedError) as closed:
        judge(event, read)
    assert closed.value.summary == (
        "data-quality-facets: 1 of 1 check failed\n- auc = 0.6: as it is"
    )


TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


def waiver(check: str, expires: object) -> dict[str, str]:
    return {"check": check, "reason": "known", "owner": "Ada Lovelace", "expires": str(expires)}


@pytest.mark.parametrize(
    ("waivers", "note"),
    [
        ([waiver("auc", TODAY)], None),
        ([waiver("auc", YESTERDAY), waiver("auc", TODAY)], None),
        ([waiver("auc", YESTERDAY)], f"auc: the waiver of Ada Lovelace expired on {YESTERDAY}"),
        ([waiver("aucs", TODAY)], "auc: the waiver of `aucs` is for another"),
        ([waiver("accuracy of it", TODAY)], ""),
    ],
    ids=["to its last day", "the latest", "expired", "misspelt", "another"],
)
def test_a_failed_check_needs_a_valid_waiver_of_its_own(tmp_path, waivers, note):
    event = {
        "JudgeBias": verdict_file(tmp_path, passed=True, gate="bias"),
        "Evaluate": verdict_file(tmp_path, passed=False, gate="model-quality"),
        "waivers": json.dumps(waivers),
    }
    if note is None:
        assert judge(event, read) == {"passed": True}
        return
    with pytest.raises(GateClosedError) as closed:
        judge(event, read)
    summary = "model-quality: 1 of 1 check failed\n- auc = 0.6: as it is"
    assert closed.value.summary == (f"{summary}\n- {note}" if note else summary)


def test_one_waiver_does_not_let_another_failed_check_through(tmp_path):
    checks = [Check(name=name, value=0.6, passed=False, reason="so") for name in ("auc", "f1")]
    file = write_verdict(decide(gate="model-quality", checks=checks, inputs={}), tmp_path)
    with pytest.raises(GateClosedError, match=f"auc: waived by Ada Lovelace until {TODAY}"):
        judge({"Evaluate": str(file), "waivers": json.dumps([waiver("auc", TODAY)])}, read)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{}", KeyError),
        ('{"passed": 1, "summary": "x"}', GateClosedError),
        ("no JSON", ValueError),
    ],
)
def test_what_is_not_plainly_true_lets_nothing_through(tmp_path, content, error):
    (tmp_path / "verdict.json").write_text(content)
    with pytest.raises(error):
        judge({"Evaluate": str(tmp_path / "verdict.json")}, read)


def test_a_gate_without_a_verdict_lets_nothing_through():
    with pytest.raises(ValueError, match="no verdict to judge by"):
        judge({"waivers": "[]"}, read)


@mock_aws
def test_the_handler_reads_from_s3_and_logs_all_that_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    long_verdict = {"passed": False, "summary": "- a check failed\n" * 100}
    s3.put_object(Bucket=BUCKET, Key="runs/x/verdict.json", Body=json.dumps(long_verdict))
    with pytest.raises(GateClosedError) as closed:
        handler({"Validate": f"s3://{BUCKET}/runs/x/verdict.json"}, None)
    assert len(str(closed.value)) < 800
    assert capsys.readouterr().out == f"{long_verdict['summary']}\n"


def test_a_throttled_read_is_repeated(tmp_path, monkeypatch):
    """SageMaker repeats no Lambda step: one that fails costs the run."""
    body = Path(verdict_file(tmp_path, passed=True)).read_bytes()
    busy = iter(range(5))

    class S3(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            throttled = next(busy, None) is not None
            text = b"<Error><Code>SlowDown</Code></Error>" if throttled else body
            self.send_response(503 if throttled else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), S3) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        assert handler({"JudgeData": f"s3://{BUCKET}/verdict.json"}, None) == {"passed": True}
        server.shutdown()
