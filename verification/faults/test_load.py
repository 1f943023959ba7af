"""The local server at twice what it can serve: two minutes in full, seconds in the short form."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.serving.tiny_artifact import build_artifact
from verification.benchmarks.load import capacity, offer
from verification.faults.conftest import FULL

SECONDS = 120 if FULL else 6
# The real server and handler around a model that takes as long as one of 22 million parameters.
PROGRAM = """
import sys, time
from pathlib import Path
from sashiko.serving.artifact import Artifact
from sashiko.serving.server import serve_artifact
answer = Artifact.respond
def respond(*args, **named):
    time.sleep(0.01)
    return answer(*args, **named)
Artifact.respond = respond
serve_artifact(Path(sys.argv[1]), threshold=0.5, port=0)
"""
BODIES = [json.dumps({"inputs": [f"bad x {number}"]}).encode() for number in range(100)]


def test_twice_what_it_can_serve_is_shed_with_503_and_memory_stays_flat(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(build_artifact(tmp_path))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        port = int(server.stderr.readline().split("127.0.0.1:")[1].split()[0])
        most = asyncio.run(capacity(port, BODIES, seconds=3))
        load = asyncio.run(offer(port, server.pid, BODIES, rate=2 * most, seconds=SECONDS))
        server.send_signal(signal.SIGINT)
        assert "Traceback" not in server.stderr.read()
    assert set(load.statuses) == {200, 503}
    assert load.statuses.total() == int(2 * most * SECONDS)
    assert {status for status, _ in load.pings} == {200}
    half = len(load.megabytes) // 2
    assert max(load.megabytes[half:]) - max(load.megabytes[:half]) < 16
    if FULL:
        assert load.statuses[200] > 0.5 * most * SECONDS
