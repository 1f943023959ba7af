"""An MLflow server that does not answer: the step says so and the run goes on."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from sashiko.registry.tracking import track_execution

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
# Runs in a process of its own: what is left behind must not keep that from ending.
PROGRAM = """
import json, socket, sys
from mlflow import MlflowClient  # its import is not what is waited for here
from sashiko.registry import tracking

addresses, port, seconds = json.loads(sys.argv[1])
tried = []
connect = socket.socket.connect


def lookup(host, port, *_, **__):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in addresses]


def connect_noted(self, address):
    tried.append(address[0])
    return connect(self, address)


socket.getaddrinfo = lookup
socket.socket.connect = connect_noted
tracking.SERVER_SECONDS = seconds
run = tracking.track_execution(
    f"http://mlflow.test:{port}", experiment="e", execution_id="x", tags={}, metrics={}, curve=()
)
print(json.dumps({"run": run, "tried": sorted(set(tried))}))
"""


@contextmanager
def swallowing(addresses):
    """Listens on one port of each address, so that no further connection is ever accepted."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.socket())
        first.bind((addresses[0], 0))
        port = first.getsockname()[1]
        listeners = [first]
        for address in addresses[1:]:
            listener = stack.enter_context(socket.socket())
            listener.bind((address, port))
            listeners.append(listener)
        for listener in listeners:
            listener.listen(0)
            for _ in range(20):  # more than the queue takes: the kernel drops what follows
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        yield port


def test_addresses_that_swallow_packets_cost_no_more_than_the_deadline(monkeypatch):
    # By MLflow's own settings this would try for minutes: eight times three addresses.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with swallowing(ADDRESSES) as port:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([ADDRESSES, port, 6])],
            capture_output=True,
            text=True,
            timeout=300,  # where there is no deadline
            check=False,
        )
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"run": None, "tried": list(ADDRESSES)}
    reason = f"not tracked: MLflow at http://mlflow.test:{port} gave no answer within 6 s"
    assert reason in done.stderr


class Refusing(BaseHTTPRequestHandler):
    """Knows the experiment, and lets nobody log a run: a role that may read and not write."""

    def do_GET(self) -> None:
        self.answer(200, {"experiment": {"experiment_id": "1", "name": "e"}, "experiments": []})

    def do_POST(self) -> None:
        if self.path.endswith("/search"):
            self.answer(200, {})
        else:
            self.answer(403, {"error_code": "PERMISSION_DENIED", "message": "no CallMlflowAppApi"})

    def answer(self, status, content) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def test_a_server_that_refuses_half_way_does_not_end_the_run(capsys):
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        run_id = track_execution(
            uri, experiment="e", execution_id="x", tags={}, metrics={}, curve=()
        )
        server.shutdown()
    assert run_id is None
    assert "not tracked: PERMISSION_DENIED: no CallMlflowAppApi" in capsys.readouterr().err
