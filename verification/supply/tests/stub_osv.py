"""OSV's two questions on a loopback port, as its manual describes the answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StubOsv:
    """What it knows, and the queries that it got.

    Attributes:
        advisories: by id; each names its package, as `affected` has it, and its version.
        page: how many ids it gives at once.
        broken: what it answers to everything, if anything.
    """

    advisories: dict[str, dict[str, Any]] = field(default_factory=dict)
    page: int = 10
    broken: tuple[int, bytes] | None = None
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


@contextmanager
def stub_osv() -> Iterator[StubOsv]:
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
