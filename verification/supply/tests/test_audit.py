import datetime as dt
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sashiko.errors import InputError
from verification.supply import audit

HASH = "--hash=sha256:" + "0" * 64
NPM = '{"lockfileVersion": 3, "packages": {"": {}, "node_modules/aws-cdk": %s}}'
CDK = '{"version": "2.1.0", "integrity": "sha512-YWJj", "license": "Apache-2.0"}'
TOMORROW = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
YESTERDAY = TOMORROW - dt.timedelta(days=2)


@dataclass
class StubOsv:
    """OSV's two questions on a loopback port, as its manual describes the answers."""

    # By id; each names its package, as `affected` has it, and its version.
    advisories: dict[str, dict[str, Any]] = field(default_factory=dict)
    page: int = 10  # how many ids it gives at once
    broken: tuple[int, bytes] | None = None  # what it answers to everything, if anything
    queries: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def know(
        self, name: str, package: str, version: str, *, fixed: str = "", **details: Any
    ) -> None:
        events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
        affected = {
            "package": {"name": package, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
            "versions": [version],
        }
        self.advisories[name] = {"id": name, "affected": [affected], **details}

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if self.broken:
            return self.broken
        if path == "/v1/querybatch":
            self.queries += body["queries"]
            return 200, json.dumps({"results": [self._batch(q) for q in body["queries"]]}).encode()
        advisory = self.advisories.get(path.removeprefix("/v1/vulns/"))
        return (200, json.dumps(advisory).encode()) if advisory else (404, b"{}")

    def _batch(self, query: dict[str, Any]) -> dict[str, Any]:
        ids = [
            {"id": name, "modified": "2026-01-01T00:00:00Z"}
            for name, advisory in self.advisories.items()
            for affected in advisory["affected"]
            if affected["package"] == query["package"] and query["version"] in affected["versions"]
        ]
        start = int(query.get("page_token", 0))
        result: dict[str, Any] = {"vulns": ids[start : start + self.page]} if ids else {}
        if start + self.page < len(ids):
            result["next_page_token"] = str(start + self.page)
        return result


@pytest.fixture
def osv() -> Iterator[StubOsv]:
    stub = StubOsv()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, content = stub.answer(self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.txt").write_text(
        f"# made by uv\nSafe_Tensors==0.5 \\\n    {HASH}\n    # via -r run.in\n"
        f"numpy==2.0 \\\n    {HASH}\n"
    )
    (tmp_path / "requirements/job.txt").write_text(f"numpy==2.0 \\\n    {HASH} \\\n    {HASH}\n")
    (tmp_path / "requirements/torch.txt").write_text("torch==2.9.0\n")
    (tmp_path / "package-lock.json").write_text(NPM % CDK)
    accept(tmp_path)
    return tmp_path


def accept(root: Path, *entries: str) -> None:
    lines = ["accepted:", *(f"  - {{{entry}}}" for entry in entries)]
    text = "\n".join(lines) if entries else "accepted: []"
    (root / "requirements/accepted.yaml").write_text(f"{text}\n")


Audited = tuple[int, str, str]  # exit status, stdout, stderr
Audit = Callable[[str], Audited]


@pytest.fixture
def audit_by(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Audit:
    """Runs the audit of the locks by a service's address."""

    def run(service: str) -> Audited:
        monkeypatch.setattr(sys, "argv", ["audit", "--service", service, "--locks", str(root)])
        return audit.main(), *capsys.readouterr()

    return run


def test_each_package_of_each_lock_is_queried_once(osv: StubOsv, audit_by: Audit) -> None:
    status, out, err = audit_by(osv.url)
    assert (status, out) == (0, "")
    queries = [(q["package"]["ecosystem"], q["package"]["name"], q["version"]) for q in osv.queries]
    assert sorted(queries) == [
        ("PyPI", "numpy", "2.0"),
        ("PyPI", "safe-tensors", "0.5"),
        ("PyPI", "torch", "2.9.0"),
        ("npm", "aws-cdk", "2.1.0"),
    ]
    assert "4 packages: 0 open findings" in err


def test_a_finding_says_what_where_and_what_helps(osv: StubOsv, audit_by: Audit) -> None:
    osv.know(
        "GHSA-1", "numpy", "2.0", fixed="2.1", aliases=["CVE-1", "PYSEC-1"], summary="Reads past it"
    )
    osv.know("PYSEC-1", "numpy", "2.0", fixed="2.1", aliases=["CVE-1", "GHSA-1"])
    line = "numpy 2.0 (job, run): GHSA-1, CVE-1, PYSEC-1: Reads past it; fixed in 2.1\n"
    assert audit_by(osv.url)[:2] == (4, line)


def test_findings_on_later_pages_are_read_too(osv: StubOsv, audit_by: Audit) -> None:
    osv.page = 2
    for number in range(5):
        osv.know(f"GHSA-{number}", "torch", "2.9.0", details=f"Fault {number}\nmore")
    status, out, _ = audit_by(osv.url)
    assert status == 4
    lines = out.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"GHSA-{number}" for number in range(5)]
    assert lines[3].endswith("Fault 3; no fixed version is known")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, b""), "HTTP 503"),
        ((200, b"<html>a proxy's page</html>"), "Expecting value"),
        ((200, b'{"results": []}'), "answered 0 of 4 questions"),
        ((200, b'{"message": "no"}'), "not OSV's"),
        ((200, b'["no"]'), "not OSV's"),
    ],
)
def test_a_service_that_gives_no_sense_is_no_pass_and_no_finding(
    osv: StubOsv, audit_by: Audit, answer: tuple[int, bytes], message: str
) -> None:
    osv.broken = answer
    status, out, err = audit_by(osv.url)
    assert (status, out) == (5, "")
    assert "the audit could not run: " in err
    assert message in err
    assert "Nothing is known of the 4 packages" in err
    assert "open findings" not in err


def test_no_service_at_all_is_reported(audit_by: Audit) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, _, err = audit_by(f"http://127.0.0.1:{port}")
    assert status == 5
    assert "could not run: " in err
    assert "Connection refused" in err


@pytest.mark.parametrize(
    "expires", [TOMORROW, YESTERDAY], ids=["until tomorrow", "until yesterday"]
)
def test_what_is_accepted_passes_until_its_day(
    root: Path, osv: StubOsv, audit_by: Audit, expires: dt.date
) -> None:
    osv.know("GHSA-1", "numpy", "2.0", aliases=["CVE-1"])
    reason = "reason: no file is read here, owner: Ann"
    accept(root, f"id: CVE-1, package: numpy, {reason}, expires: {expires}")
    status, out, _ = audit_by(osv.url)
    assert status == (0 if expires == TOMORROW else 4)
    assert "GHSA-1" in out
    says = f"accepted until {TOMORROW} by Ann: no file is read here"
    assert (says in out) == (status == 0) == ("accepted" in out)


def test_what_is_accepted_in_one_package_is_open_in_another_and_what_is_gone_is_reported(
    root: Path, osv: StubOsv, audit_by: Audit
) -> None:
    osv.know("GHSA-1", "torch", "2.9.0")
    owner = f"owner: Ann, expires: {TOMORROW}"
    accept(root, f"id: GHSA-1, package: numpy, reason: no file is read here, {owner}")
    status, out, _ = audit_by(osv.url)
    assert status == 4
    assert "numpy: GHSA-1 is accepted and not found any more: remove it" in out


def test_an_acceptance_without_a_reason_or_a_day_is_refused(root: Path, osv: StubOsv) -> None:
    accept(root, "id: GHSA-1, package: numpy, reason: meh, owner: Ann")
    with pytest.raises(InputError, match=r"(?s)accepted\.yaml.*reason.*expires"):
        audit.read_accepted(root / "requirements/accepted.yaml")


@pytest.mark.parametrize("line", ["numpy>=2", "-e .", "numpy @ https://example.org/numpy.whl"])
def test_a_lock_that_pins_nothing_is_refused(root: Path, line: str) -> None:
    (root / "requirements/run.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"run\.txt: `.*` pins no package"):
        audit.read_locks(root)


def test_the_shipped_locks_and_acceptances_can_be_read() -> None:
    root = Path(audit.__file__).parents[2]
    names = {package.name for package in audit.read_locks(root)}
    assert {"torch", "numpy", "uv", "aws-cdk", "onnxruntime"} <= names
    audit.read_accepted(root / "requirements/accepted.yaml")
