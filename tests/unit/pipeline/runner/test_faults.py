"""What goes wrong, and that the next run works."""

import errno
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import read_run


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_failure_says_why_and_what_to_do(tiny, status_of):
    code = "print('step 1'); print('error: column `x` is missing', file=sys.stderr); sys.exit(1)"
    after = tiny.job("After", after=["Bad"])

    record = tiny.run(tiny.job("Bad", code), after)

    assert status_of(record) == {"Bad": "failed", "After": "not_run"}
    assert (record.status, record.exit_code) == ("failed", 1)
    assert record.reason == "step Bad: column `x` is missing"
    [note] = tiny.view.notes
    folder = tiny.home / "runs/run-1"
    assert "  step 1\n" in note
    assert f"{folder}/logs/Bad.log" in note
    assert "sashiko run --from Bad" in note
    again = subprocess.run(
        ["sh", folder / "work/Bad/rerun.sh"], capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stdout) == (1, "step 1\n")


@pytest.mark.parametrize("code", [
    "os.symlink('/etc/hostname', OUT / 'out/x')",
    "(OUT / 'out').rmdir(); os.symlink('/etc', OUT / 'out')",
])  # fmt: skip
def test_an_output_that_leads_out_of_the_job_is_not_taken(tiny: Any, code: str) -> None:
    step = tiny.run(tiny.job("A", code)).step("A")
    assert step.status == "failed"
    assert "is a link that leads out of the job's folder" in step.reason
    assert not list((tiny.home / "s3").rglob("*hostname*"))


def test_the_reason_of_a_failed_step_is_its_own_or_says_what_helps(tiny: Any) -> None:
    code = "(ML / 'output/failure').write_text('bad key\\n'); print('error: other'); sys.exit(1)"
    assert tiny.run(tiny.job("A", code)).step("A").reason == "bad key"

    code = "print('error: a line of earlier'); os.kill(os.getpid(), signal.SIGKILL)"
    reason = tiny.run(tiny.job("A", code)).step("A").reason
    assert reason.startswith("killed by SIGKILL; the machine may have run out of memory")
    assert reason.endswith("make the step's batches smaller, and run again")
    record = tiny.run(tiny.job("A", command=["no-such-command"]))
    assert record.step("A").reason == "the command `no-such-command` is not on this machine"


@pytest.mark.parametrize(("code", "reason"), [
    ("raise ValueError('x is 3')", "exit status 1: ValueError: x is 3"),
    ("sys.exit(7)", "exit status 7"),
    ("os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
])  # fmt: skip
def test_other_failures_have_a_reason_too(tiny: Any, code: str, reason: str) -> None:
    assert tiny.run(tiny.job("A", code)).step("A").reason == reason


def test_a_step_is_stopped_when_its_time_is_up(tiny: Any) -> None:
    step = tiny.job("A", "time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    record = tiny.run(step)
    assert record.step("A").reason == "stopped after 1 s, the step's MaxRuntimeInSeconds"


def test_a_failed_step_leaves_no_output_and_names_a_missing_input(tiny: Any) -> None:
    record = tiny.run(tiny.job("A", "(OUT / 'out/x').write_text('half'); sys.exit(1)"))
    assert record.step("A").outputs == {}
    assert not (tiny.home / "s3/b").exists()
    record = tiny.run(tiny.job("A", inputs={"in": "s3://b/nothing"}))
    assert record.step("A").status == "failed"
    assert "`s3://b/nothing`: no object" in record.reason


def test_what_a_step_leaves_behind_is_killed(tiny: Any, tmp_path: Path) -> None:
    code = f"""
child = subprocess.Popen(["sleep", "3600"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
"""
    assert tiny.run(tiny.job("A", code)).status == "succeeded"
    deadline = time.monotonic() + 300  # a bound on a hang, not on a busy machine
    while is_alive(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline, "the process lives on"
        time.sleep(0.01)


def test_a_second_ctrl_c_kills_at_once(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever grace there is: the step would use a minute of it, and leave a file."""
    monkeypatch.setattr("sashiko.pipeline.runner.definition_run._GRACE_SECONDS", 3600.0)
    used = tmp_path / "used"
    code = f"""
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGINT))
os.kill(os.getppid(), signal.SIGTERM)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    time.sleep(0.01)
open({str(used)!r}, "w").close()
"""
    assert tiny.run(tiny.job("A", code)).status == "interrupted"
    assert not used.exists()


def test_ctrl_c_ends_a_quiet_run_whichever_thread_the_signal_reaches(tiny: Any, tmp_path: Path):
    """The step prints nothing, so that nothing but the signal wakes the main thread."""
    pid, end = tmp_path / "pid", tmp_path / "end"
    code = f"""
open({str(pid)!r}, "w").write(str(os.getpid()))
time.sleep(60)
open({str(end)!r}, "w").close()
"""

    def interrupt() -> None:
        while not pid.exists():
            time.sleep(0.05)
        main, still = threading.main_thread().ident, 0
        last = None
        while still < 20:  # until the main thread stays where it is: it waits for the step
            frame = sys._current_frames()[main]
            here = (frame.f_code, frame.f_lasti)
            still, last = (still + 1 if here == last else 0), here
            time.sleep(0.01)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    record = tiny.run(tiny.job("A", code))
    thread.join()

    assert record.status == "interrupted"
    assert not end.exists()


def test_a_home_that_cannot_be_written_is_one_message(tiny: Any) -> None:
    tiny.home.write_text("a file")
    with pytest.raises(InputError, match="cannot write to"):
        tiny.run(tiny.job("A"))


def test_a_full_disk_fails_the_step_and_writes_nothing(tiny: Any, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    step = tiny.job("A", "[(OUT / 'out' / name).write_text(name) for name in 'ab']")
    with monkeypatch.context() as patched:
        patched.setattr("sashiko.pipeline.runner.store.os.link", full)
        record = tiny.run(step)

    assert record.status == "failed"
    assert "No space left on device; free some space and run again" in record.reason
    assert not (tiny.home / "s3/b").exists()
    assert tiny.run(step).status == "succeeded"


def test_a_run_has_its_evidence_from_the_start(tiny: Any) -> None:
    code = f"import sys; sys.exit(open({str(tiny.home)!r} + '/runs/run-1/evidence/why').read())"
    step = tiny.job("A", code)
    assert tiny.run(step, evidence={"why": b"error: it is there"}).reason.endswith("it is there")


def test_an_internal_fault_keeps_its_traceback(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("sashiko.pipeline.runner.execute.cache_key", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        tiny.run(tiny.job("A"))
    assert read_run(tiny.home / "runs/run-1").status == "failed"


CHECKPOINT = """
done = ML / "checkpoints/epoch"
before = done.read_text() if done.exists() else "nothing"
(ML / "model/started_from").write_text(before)
done.write_text("one")
if not os.path.exists(sys.argv[-1]):
    open(sys.argv[-1], "w")
    sys.exit("error: killed in epoch two")
"""


def started_from(tiny: Any, record: Any) -> str:
    import tarfile

    with tarfile.open(tiny.output(record, "T", "model")) as archive:
        return archive.extractfile("started_from").read().decode()


def train(tiny: Any, marker: Path, rate: str = "1", saved: str = "s3://b/saved") -> Any:
    code = CHECKPOINT.replace("sys.argv[-1]", repr(str(marker)))
    return tiny.training("T", code, hyperparameters={"rate": rate}, checkpoints=saved)


def test_a_training_that_ended_early_resumes(tiny: Any, tmp_path: Path) -> None:
    step = train(tiny, tmp_path / "marker")
    assert tiny.run(step).status == "failed"
    assert started_from(tiny, tiny.run(step)) == "one"


def test_checkpoints_of_another_training_are_not_taken(tiny: Any, tmp_path: Path) -> None:
    assert tiny.run(train(tiny, tmp_path / "marker")).status == "failed"
    assert started_from(tiny, tiny.run(train(tiny, tmp_path / "marker", "2"))) == "nothing"


def test_where_checkpoints_lie_is_no_reason_to_train_again(tiny: Any, tmp_path: Path) -> None:
    tiny.run(train(tiny, tmp_path / "marker"))
    tiny.run(train(tiny, tmp_path / "marker"))
    record = tiny.run(train(tiny, tmp_path / "marker", saved="s3://b/elsewhere"))
    assert [step.status for step in record.steps] == ["cached"]


def test_from_step_starts_a_finished_training_anew(tiny: Any, tmp_path: Path) -> None:
    step = train(tiny, tmp_path / "marker")
    tiny.run(step)
    tiny.run(step)
    assert started_from(tiny, tiny.run(step, from_step="T")) == "nothing"


_HOLDS = """
import sys, time
from pathlib import Path
from sashiko.pipeline.runner import process
process._LINUX = sys.argv[2] == "linux"
folder = Path(sys.argv[1])
step = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
process.Processes(1).run(
    [sys.executable, "-c", step], environment={"PATH": "/usr/bin:/bin"}, folder=folder,
    log=folder / "log", on_line=print, max_seconds=None,
)
"""


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(
            "linux", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux's kernel")
        ),
        "other",
    ],
)
def test_a_step_ends_with_a_runner_that_is_killed(tmp_path, system) -> None:
    log = tmp_path / "log"
    runner = subprocess.Popen([sys.executable, "-c", _HOLDS, str(tmp_path), system])
    try:
        while not (log.exists() and log.read_text().strip()):
            assert runner.poll() is None
            time.sleep(0.02)
    finally:
        runner.kill()
        runner.wait()
    deadline = time.monotonic() + 60
    while is_alive(int(log.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
