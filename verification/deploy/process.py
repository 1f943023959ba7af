"""The emulator as a process of its own, and the CDK command line pointed at it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3

ROOT = Path.cwd()  # tests/conftest.py: with the samples
REGION = "us-east-1"
_KEY = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")


@cache
def _client(url: str, service: str, key: str, secret: str, token: str | None) -> Any:
    """Cached, because creating a client takes longer than a call."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator, and who calls it."""

    account: str  # the one that it knows
    url: str  # on loopback
    home: Path  # an empty folder that stands for the caller's home: no profile, no cache
    # The variables that hold the caller's; the emulator itself asks for none.
    credentials: Mapping[str, str] = field(
        default_factory=lambda: {f"AWS_{name}": "test" for name in _KEY}
    )

    def client(self, service: str) -> Any:
        """Returns a client of the emulator."""
        key, secret = (self.credentials[f"AWS_{name}"] for name in _KEY)
        return _client(self.url, service, key, secret, self.credentials.get("AWS_SESSION_TOKEN"))

    def environment(self) -> dict[str, str]:
        """Returns the environment in which AWS's tools call only the emulator."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            # Otherwise the CDK caches an access key's account in the real home, for every emulator.
            "CDK_HOME": str(self.home),
            **self.credentials,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
            "NODE_NO_WARNINGS": "1",
        }

    def cdk(self, *arguments: str, folder: Path, status: int = 0) -> str:
        """Runs the stock command line on a folder's `cdk.out`; returns all it printed.

        Raises:
            AssertionError: if it ends with another status than `status`.
        """
        command = [str(ROOT / "node_modules/.bin/cdk"), "--no-notices", "--no-color"]
        return self._run([*command, *arguments, "--app", "cdk.out"], folder, status)

    def sashiko(self, *arguments: str, folder: Path, status: int | None = 0) -> str:
        """Runs our own command in a folder that has a `config/`; as `cdk` does."""
        return self._run(
            [str(Path(sys.executable).with_name("sashiko")), *arguments], folder, status
        )

    def _run(self, command: list[str], folder: Path, status: int | None) -> str:
        process = subprocess.run(
            command,
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert status in (None, process.returncode), f"{' '.join(command)}:\n{process.stdout}"
        return process.stdout


@contextmanager
def running(account: str, home: Path) -> Iterator[Emulator]:
    """Runs an emulator; it stops with the block, and by itself if this process dies."""
    log = home / "emulator.log"
    with log.open("w") as errors:
        # A session of its own: Ctrl-C is for pytest, which then stops it here.
        process = subprocess.Popen(
            [sys.executable, "-m", "emulator", "--account", account],
            env={**os.environ, "PYTHONPATH": str(ROOT / "verification/deploy")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout and process.stdin
        url = process.stdout.readline().strip()
        assert url, f"the emulator did not start:\n{log.read_text()}"
        yield Emulator(account=account, url=url, home=home)
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
