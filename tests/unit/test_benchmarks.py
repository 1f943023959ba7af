"""Benchmarks leave a user's own versions alone."""

import json
import subprocess
from pathlib import Path

import pytest

from verification.benchmarks import bench


@pytest.mark.parametrize("named", [".sashiko", "mine", "elsewhere/../mine"])
def test_a_benchmark_registers_nothing_in_the_users_registry(tmp_path, monkeypatch, named):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, json.dumps({"id": "run"}))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.subprocess, "run", run)
    monkeypatch.setattr(bench, "read_run", lambda folder: folder)
    if named != ".sashiko":
        monkeypatch.setenv("SASHIKO_HOME", str(tmp_path / "mine"))
    with pytest.raises(SystemExit, match="it holds your own versions"):
        bench.run("complaints", home=Path(named))
    assert not commands
    bench.run("complaints", home=bench.HOME)
    assert commands[0][4:6] == ["--home", "build/benchmarks"]
