"""The local server's connections: a client that is slow, or many of them, keeps nobody else out.

uvicorn waits without end for the rest of a request. Its `limit_concurrency` counts idle connections
and refuses `/ping` too, which SageMaker asks to learn whether a container lives.
"""

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def connection_class(*, most: int, seconds: float) -> type[H11Protocol]:
    """Makes the protocol of connections that end when no whole request comes.

    Args:
        most: how many are open at once; for a newer one the oldest that asks nothing is ended.
        seconds: a connection on which nothing is being answered ends after these, or twice these.
    """

    class Connection(H11Protocol):  # type: ignore[misc]  # uvicorn is Any to mypy
        def connection_made(self, transport: Any) -> None:
            full = len(self.connections) >= most
            idle = [other for other in self.connections if other.asks_nothing] if full else []
            super().connection_made(transport)
            self._seen = None
            self.since = self.loop.time()
            self._timer = self.loop.call_later(seconds, self._look)
            if full:
                min(idle, key=lambda other: other.since, default=self).transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        @property
        def asks_nothing(self) -> bool:
            """Whether a request is still missing, in whole or in part."""
            cycle = self.cycle
            return cycle is None or cycle.response_complete or cycle.more_body

        def _look(self) -> None:
            if self.asks_nothing and self.cycle is self._seen:
                self.transport.abort()
                return
            self._seen = self.cycle
            self._timer = self.loop.call_later(seconds, self._look)

    return Connection
