"""The short pipeline: jobs of a few lines each, a training that resumes, a real registration.

It is small so that it can be killed a hundred times; what it runs on is what `sashiko run` runs on:
the runner, the store, the cache, MLflow's registry.
"""

import json
from pathlib import Path
from typing import Any

from sashiko.registry.mlflow import MlflowRegistry
from tests.unit.pipeline.runner.tiny import Tiny

DEADLY = ("Split", "Train", "Register")
RAW = "s3://b/raw/rows.txt"
# Dies at the n-th time that it is about to change a file below a folder, where a file says n, and
# says at its end how many there were.
DIES = """
import atexit, os, pathlib, signal, sys
def die_at(file, below):
    changes = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.symlink"}
    fatal, count = int(file.read_text()) if file.exists() else 0, [0]
    file.unlink(missing_ok=True)
    def watch(event, arguments):
        if event == "open":
            changed = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        else:
            changed = event in changes
        if changed and any(str(below) in str(argument) for argument in arguments[:2]):
            count[0] += 1
            if count[0] == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    atexit.register(lambda: print("changes:", count[0], file=sys.stderr))
"""
_SPLIT = """
lines = (IN / "raw/rows.txt").read_text().splitlines(keepends=True)
for part in range(4):
    (OUT / f"out/part-{part}.txt").write_text("".join(lines[part::4]))
"""
_UPPER = """
for file in sorted((IN / "in").glob("*.txt")):
    (OUT / "out" / file.name).write_text(file.read_text().upper())
"""
_COUNT = """
rows = sum(len(file.read_text().splitlines()) for file in (IN / "in").glob("*.txt"))
(OUT / "out/result.json").write_text(json.dumps(
    {"passed": rows == 2000, "rows": rows, "summary": "rows are missing"}))
"""
_TRAIN = """
import hashlib
from sashiko.base.files import sweep_half_written, write_json
saved = ML / "checkpoints/saved.json"
sweep_half_written(saved.parent)
state = json.loads(saved.read_text()) if saved.exists() else {"step": 0, "weights": "0" * 64}
data = b"".join(file.read_bytes() for file in sorted((ML / "input/data/rows").glob("*.txt")))
while state["step"] < 20:
    weights = hashlib.sha256(data + state["weights"].encode()).hexdigest()
    state = {"step": state["step"] + 1, "weights": weights}
    write_json(saved, state)
    time.sleep(0.02)
(ML / "model/weights").write_text(state["weights"] * 10_000)
saved.unlink()
"""
_REGISTER = """
import shutil
from sashiko.base.files import sha256_file, write_json
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.steps.track import track_execution
uri, execution = sys.argv[1:3]
files = ML / "version"
shutil.copytree(IN / "model", files)
for name in ("card.md", "manifest.json", "metrics.json"):
    (files / name).write_text(name)
run = track_execution(uri, experiment="short", execution_id=execution, tags={}, curve=(),
                      metrics={f"metric.{number}": float(number) for number in range(50)})
tags = {"execution_id": execution, "data_sha256": "d" * 64, "contract_sha256": "c" * 64}
registry = MlflowRegistry(uri)
version, new = registry.register("short", files=files, run_id=run, threshold=0.5, tags=tags)
write_json(OUT / "out/registration.json", {"version": version.version, "new": new,
                                            "artifact": version.artifact_sha256})
"""


def definition(home: Path, *, registers: bool, code: str) -> dict[str, Any]:
    """Returns the definition of the short pipeline; Count begins with the code.

    Without the registration it runs in a fraction of the time.
    """
    tiny = Tiny(home)

    def deadly(step: str, code: str) -> str:
        hook = f"die_at(pathlib.Path({str(dies(home, step))!r}), {str(home)!r})"
        return f"{DIES}\n{hook}\n{_step(code)}"

    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    arguments = [tracking_uri(home), {"Get": "Execution.PipelineExecutionId"}]
    register = tiny.job(
        "Register",
        deadly("Register", _REGISTER),
        inputs={"model": model},
        arguments=arguments,
        cached=False,
    )
    training = tiny.training(
        "Train",
        deadly("Train", _TRAIN),
        channels={"rows": tiny.uri("Upper")},
        checkpoints="s3://b/checkpoints",
    )
    steps = [
        tiny.job("Split", deadly("Split", _SPLIT), inputs={"raw": RAW}),
        tiny.job("Upper", _step(_UPPER), inputs={"in": tiny.uri("Split")}),
        tiny.job("Count", _step(code + _COUNT), inputs={"in": tiny.uri("Split")}),
        tiny.gate("Gate", "Count"),
        *({**step, "DependsOn": ["Gate"]} for step in (training, register)[: 1 + registers]),
    ]
    return {"Steps": json.loads(json.dumps(steps))}


def _step(code: str) -> str:
    """Ends as a step does: one message where the disk is full, or memory."""
    main = f"lambda: exec({code!r}, globals())"
    return f"from sashiko.steps.entry import run_step\nrun_step({main})\n"


def prepare(home: Path) -> None:
    """Makes a home that holds the raw data, and a registry that holds nothing."""
    Tiny(home).put(RAW, "".join(f"row {number}\n" for number in range(2000)))
    MlflowRegistry(tracking_uri(home))


def tracking_uri(home: Path) -> str:
    """Returns the URI of a home's registry."""
    return f"sqlite:///{home / 'mlflow.db'}"


def dies(home: Path, who: str) -> Path:
    """Returns the file that says at which change of a file the `runner` or a step dies."""
    return home.with_name(f"{home.name}-{who}-dies")
