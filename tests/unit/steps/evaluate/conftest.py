"""The folder of an Evaluate job."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["evaluate"])
    return tmp_path
