"""moto's server on loopback as an account that holds a small lake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.lakeformation.models import LakeFormationBackend
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from tests.deploy.small_account import ACCOUNT, Deployed
from tests.unit.aws.small_lake import SmallLake

_get_resource_lf_tags = LakeFormationBackend.get_resource_lf_tags


def _tags_of(self: LakeFormationBackend, *args: Any, **named: Any) -> Any:
    try:
        return _get_resource_lf_tags(self, *args, **named)
    except KeyError:
        return [], [], []


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def deployed(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployed]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "MOTO_ACCOUNT_ID": ACCOUNT,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    lake = SmallLake()
    found = Deployed(lake=lake, environment=lake.read(tmp_path / "cdk.out"))
    # moto knows no data-cells filters, and breaks on what was never tagged.
    monkeypatch.setattr(LakeFormationBackend, "list_data_cells_filter", lambda _: found.filters)
    monkeypatch.setattr(LakeFormationBackend, "get_resource_lf_tags", _tags_of)
    found.deploy()
    yield found
    moto_api_backend.reset()
