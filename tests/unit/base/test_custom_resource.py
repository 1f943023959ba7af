"""What CloudFormation is answered, also when a function fails."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sashiko.base.custom_resource import Answer, RefusedError, read_request, respond, send


@pytest.fixture
def response_server():
    """Where answers are put: `(url, answers)`; each answer with its content type."""
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers.append((self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """It says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", answers
    server.shutdown()
    server.server_close()


def event(url, kind="Create", **more):
    return {
        "RequestType": kind, "ResponseURL": url, "StackId": "a-stack", "RequestId": "a-request",
        "LogicalResourceId": "Thing",
        "ResourceProperties": {"ServiceToken": "a-function", "Name": "one"}, **more,
    }  # fmt: skip


def test_an_answer_names_the_request_and_the_resource(response_server):
    url, answers = response_server

    respond(event(url), lambda request: Answer(physical_id=request.properties["Name"]))

    # The link is signed for an empty content type: any other one is refused.
    assert answers == [
        (
            "",
            {
                "Status": "SUCCESS",
                "Reason": "",
                "PhysicalResourceId": "one",
                "StackId": "a-stack",
                "RequestId": "a-request",
                "LogicalResourceId": "Thing",
                "Data": {},
            },
        )
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(RefusedError("not approved"), "not approved"), (KeyError("x"), "KeyError: 'x'")],
)
def test_an_exception_is_answered_at_once(response_server, error, reason):
    url, answers = response_server

    def work(request):
        raise error

    respond(event(url), work)
    respond(event(url, "Update", PhysicalResourceId="one"), work)

    assert [answer["Status"] for _, answer in answers] == ["FAILED", "FAILED"]
    assert {answer["Reason"] for _, answer in answers} == {reason}
    # A failed update keeps the name: another one would delete what is there.
    assert [answer["PhysicalResourceId"] for _, answer in answers] == ["not made", "one"]


def test_who_answers_later_says_nothing_now_and_a_long_reason_fits(response_server):
    url, answers = response_server

    respond(event(url), lambda request: None)

    assert answers == []
    send(read_request(event(url)), Answer(physical_id="one", failure="x" * 5_000))

    assert len(json.dumps(answers[0][1])) < 4_096
