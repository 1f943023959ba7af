"""The registry: no version without its artifact, none twice, and one champion."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

from sashiko.errors import InputError
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.steps.track import track_execution
from tests.full_disk import file_size_limit


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(home):
    return MlflowRegistry(f"sqlite:///{home / 'mlflow.db'}")


@pytest.fixture
def register(registry, home, tmp_path, request):
    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = mlflow_client(uri)
    run_id = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
    group = request.node.name.replace("_", "-")[:40]

    def make(*, content=b"weights", execution="run-1", threshold=0.4):
        (tmp_path / "model.tar.gz").write_bytes(content)
        tags = {"execution_id": execution, "data_sha256": "d" * 64, "contract_sha256": "c" * 64}
        return registry.register(
            group, files=tmp_path, run_id=run_id, threshold=threshold, tags=tags
        )

    return make


def test_a_new_version_is_the_candidate_also_if_it_was_killed_before_its_alias(registry, register):
    version, new = register()
    assert new
    assert version.status == "PendingManualApproval"
    assert version.aliases == ("candidate",)
    assert registry.champion(version.group) is None

    version, _ = register()
    registry._client.delete_registered_model_alias(version.group, "candidate")
    again, new = register(execution="run-2")
    assert (again.version, again.aliases, new) == (1, ("candidate",), False)


def test_the_same_artifact_or_the_same_run_is_not_registered_twice(register):
    first, _ = register(execution="run-1")
    again, new = register(execution="run-2")
    assert (again.version, new) == (first.version, False)
    resumed, new = register(execution="run-1", content=b"other")
    assert (resumed.version, new) == (first.version, False)


def test_approval_makes_the_champion_and_rejection_unmakes_it(registry, register, tmp_path):
    version, _ = register()
    approved = registry.decide(
        version.group, version.version, status="Approved", by="Ada", reason="better"
    )
    [decision] = registry.decisions(approved)
    assert (decision.status, decision.by, decision.reason) == ("Approved", "Ada", "better")
    assert registry.champion(version.group).version == version.version
    folder = tmp_path / "download"
    folder.mkdir()
    assert registry.download(approved, folder).read_bytes() == b"weights"
    registry.decide(version.group, version.version, status="Rejected", by="Ada", reason="drift")
    assert registry.champion(version.group) is None


def test_a_second_decision_leaves_the_first_as_it_was(registry, register):
    version, _ = register()
    registry.decide(version.group, 1, status="Approved", by="Ada", reason="better")
    [first] = registry.decisions(version)
    registry.decide(version.group, 1, status="Rejected", by="Grace", reason="drift")
    registry.decide(version.group, 1, status="Approved", by="Ada", reason="retested")
    decisions = registry.decisions(version)
    assert decisions[0] == first
    assert [(item.status, item.by, item.reason) for item in decisions] == [
        ("Approved", "Ada", "better"),
        ("Rejected", "Grace", "drift"),
        ("Approved", "Ada", "retested"),
    ]
    times = [datetime.fromisoformat(item.time) for item in decisions]
    assert times == sorted(times)
    assert first.digests["artifact_sha256"] == version.artifact_sha256
    assert {"data_sha256", "contract_sha256"} <= first.digests.keys()


def test_decisions_at_the_same_time_are_all_kept(registry, register):
    version, _ = register()
    with ThreadPoolExecutor(4) as pool:
        for name in range(8):
            pool.submit(
                registry.decide, version.group, 1, status="Approved", by=str(name), reason="-"
            )
    assert {item.by for item in registry.decisions(version)} == set(map(str, range(8)))


def test_the_decision_of_an_earlier_engine_is_kept(registry, register):
    version, _ = register()
    earlier = {"model_approval_status": "Rejected", "approval.by": "Ada", "approval.reason": "old"}
    for key, value in earlier.items():
        registry._client.set_model_version_tag(version.group, "1", key, value)
    registry.decide(version.group, 1, status="Approved", by="Grace", reason="new")
    decisions = registry.decisions(version)
    assert [(item.status, item.by, item.time is None) for item in decisions] == [
        ("Rejected", "Ada", True),
        ("Approved", "Grace", False),
    ]


def test_rejecting_the_champion_gives_its_place_back_to_the_one_before(registry, register):
    first, _ = register()
    second, new = register(execution="run-2", threshold=0.5)
    assert new
    for version in (first, second):
        registry.decide(version.group, version.version, status="Approved", by="Ada", reason="-")
    assert registry.champion(first.group).version == 2
    registry.decide(first.group, 2, status="Rejected", by="Ada", reason="drift")
    assert registry.champion(first.group).version == 1


@pytest.mark.slow
def test_a_database_whose_making_is_killed_is_made_anew(tmp_path):
    """Before the last of its tables is there, none of it stands under its name."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    dies = (
        "import os, signal, sys; from sashiko.registry.mlflow import mlflow_client\n"
        "import mlflow.store.db.utils as utils\n"
        "utils._upgrade_db = lambda engine: os.kill(os.getpid(), signal.SIGKILL)\n"
        "mlflow_client(sys.argv[1])"
    )
    killed = subprocess.run([sys.executable, "-c", dies, uri], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    assert MlflowRegistry(uri).versions("any") == []


def test_an_unreachable_registry_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be reached"):
        MlflowRegistry(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


def test_a_full_disk_is_one_clear_error_and_the_next_run_works(registry, home):
    database = home / "mlflow.db"
    uri = f"sqlite:///{database}"
    what = {"experiment": "full", "tags": {}, "curve": ()}
    many = {f"metric.{number}": float(number) for number in range(900)}
    track_execution(uri, execution_id="before", metrics={}, **what)
    with (
        file_size_limit(database.stat().st_size),
        pytest.raises(InputError, match=r"cannot write sqlite:.*free some space"),
    ):
        track_execution(uri, execution_id="run-1", metrics=many, **what)
    assert track_execution(uri, execution_id="run-1", metrics=many, **what)


def test_mlflow_tells_its_makers_nothing(registry):
    assert MLFLOW_DISABLE_TELEMETRY.get()


def test_a_version_is_found_by_its_number_and_its_lineage_names_artifact_and_data(
    registry, register
):
    version, _ = register()
    with pytest.raises(InputError, match="no version 9; registered: 1"):
        registry.version(version.group, 9)
    edges = {(edge.source, edge.destination) for edge in registry.lineage(version)}
    artifact = f"artifact sha256:{version.artifact_sha256}"
    assert (artifact, f"version {version.group} 1") in edges
    assert (f"data sha256:{'d' * 64}", artifact) in edges


@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_a_damaged_artifact_is_stored_again_by_the_next_run(
    registry, register, home, tmp_path, damage
):
    version, _ = register(content=f"weights, {damage}".encode(), execution=damage)
    [stored] = [
        path
        for path in home.rglob("model.tar.gz")
        if path.read_bytes() == f"weights, {damage}".encode()
    ]
    stored.write_bytes(b"wei") if damage == "truncated" else stored.unlink()
    (tmp_path / "out").mkdir()
    reason = "sha256 differs" if damage == "truncated" else "its artifact cannot be read"
    with pytest.raises(InputError, match=rf"(?s){reason}.*`sashiko run`.*stores it again"):
        registry.download(version, tmp_path / "out")
    _, new = register(content=f"weights, {damage}".encode(), execution="later")
    assert not new
    assert registry.download(version, tmp_path / "out").read_bytes().endswith(damage.encode())


def test_a_champion_that_is_damaged_must_be_withdrawn_first(registry, register, home, tmp_path):
    version, _ = register(content=b"the champion's")
    champion = registry.decide(version.group, 1, status="Approved", by="Ada", reason="-")
    for path in home.rglob("model.tar.gz"):
        path.write_bytes(b"cut")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"`sashiko model reject 1 --reason damaged`, then"):
        registry.download(champion, tmp_path / "out")


ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
# Runs in a process of its own: what is left behind must not keep that from ending.
PROGRAM = """
import json, socket, sys
from mlflow import MlflowClient  # its import is not what is waited for here
from sashiko.steps import track

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
track.SERVER_SECONDS = seconds
run = track.track_execution(
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
