"""Hands a request on to the emulator of its account."""

import urllib3

from verification.deploy.accounts.answers import Answer
from verification.deploy.accounts.wire import Wire

# Of this connection, and not of the next one.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def forward(wire: Wire, url: str, pool: urllib3.PoolManager) -> Answer:
    """Asks the emulator at an address, and returns its answer as it is."""
    response = pool.request(
        wire.method,
        f"{url}{wire.target}",
        body=wire.body,
        headers=dict(wire.headers),
        redirect=False,
        decode_content=False,
        preload_content=False,
    )
    body = response.read(decode_content=False)
    headers = [(key, value) for key, value in response.headers.items() if key.lower() not in _OWN]
    if wire.method == "HEAD" and "content-length" in response.headers:
        headers.append(("Content-Length", response.headers["content-length"]))
    return Answer(status=f"{response.status} {response.reason}", headers=headers, body=body)
