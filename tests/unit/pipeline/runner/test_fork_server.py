"""Commands that are forks of a process with their imports behave as commands of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sashiko.pipeline.runner.process import Processes, StoppedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

SLOW = """
import os, pathlib, tempfile
tempfile.gettempdir()
with open(pathlib.Path(__file__).with_name("imports"), "a") as file:
    file.write(f"{os.getpid()}\\n")
"""


class Forks:
    """Runs scripts by `Processes` in a folder, where the package `slow` notes each import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(2)
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
        (folder / "slow.py").write_text(SLOW)

    def start(self) -> None:
        self.processes.fork_early(environment=self.environment, imports=["slow"])

    def run(self, name: str, code: str, *words: str, **variables: str) -> tuple[int, str]:
        script, log = self.folder / f"{name}.py", self.folder / f"{name}.log"
        script.write_text(code)
        exit_ = self.processes.run(
            [sys.executable, str(script), *words],
            environment=self.environment | variables, folder=self.folder, log=log,
            on_line=lambda _: None, max_seconds=60, imports=["slow"],
        )  # fmt: skip
        return exit_.status, log.read_text()

    @property
    def imports(self) -> int:
        return len((self.folder / "imports").read_text().splitlines())


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[Forks]:
    made = Forks(tmp_path)
    with closing(made.processes):
        yield made


def test_commands_share_an_import_and_nothing_else(forks: Forks) -> None:
    forks.start()
    code = (
        "import os, slow, sys, tempfile\n"
        "print(sys.argv[1:], os.getcwd(), os.environ['OPT_ML'], tempfile.gettempdir(), __name__)\n"
        "print(getattr(slow, 'rows', None), 'AWS_REGION' in os.environ)\n"
        "slow.rows = 'secret'\n"
    )
    for name in ("a", "b"):
        folder = forks.folder / name
        folder.mkdir()
        region = {"AWS_REGION": "here"} if name == "a" else {}
        status, log = forks.run(name, code, name, OPT_ML=name, TMPDIR=str(folder), **region)
        assert status == 0
        first, second = log.splitlines()
        assert first == f"['{name}'] {forks.folder} {name} {folder} __main__"
        assert second == f"None {name == 'a'}"
    assert forks.imports == 1


def test_a_module_is_run_as_by_the_option_m(forks: Forks) -> None:
    forks.start()
    (forks.folder / "step.py").write_text(
        "import slow, sys; print(sys.argv, __name__, sys.path[0])"
    )
    log = forks.folder / "x.log"
    forks.processes.run(
        [sys.executable, "-m", "step", "--deep"],
        environment=forks.environment, folder=forks.folder, log=log,
        on_line=lambda _: None, max_seconds=60, imports=["slow"],
    )  # fmt: skip
    step = str(forks.folder / "step.py")
    assert log.read_text() == f"{[step, '--deep']} __main__ {forks.folder}\n"
    assert forks.imports == 1


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def test_a_module_for_later_is_imported_beside_the_first_command(forks: Forks) -> None:
    forks.processes.fork_early(environment=forks.environment, imports=[], later=["slow"])
    noted = forks.folder / "imports"
    code = (
        f"import pathlib, time\nwhile not pathlib.Path({str(noted)!r}).exists(): time.sleep(0.01)"
    )
    log = forks.folder / "first.log"
    (forks.folder / "first.py").write_text(code)
    forks.processes.run(
        [sys.executable, str(forks.folder / "first.py")],
        environment=forks.environment, folder=forks.folder, log=log,
        on_line=lambda _: None, max_seconds=60,
    )  # fmt: skip
    assert forks.run("x", "import slow") == (0, "")
    assert forks.imports == 1


def test_what_a_waiting_command_needs_is_imported_before_it_starts(forks: Forks) -> None:
    forks.processes.fork_early(environment=forks.environment, imports=[])
    script = forks.folder / "first.py"
    script.write_text("")
    forks.processes.run(
        [sys.executable, str(script)], environment=forks.environment, folder=forks.folder,
        log=forks.folder / "first.log", on_line=lambda _: None, max_seconds=60,
    )  # fmt: skip

    def wait() -> None:
        with forks.processes.cores(all_cores=True, imports=["slow"]):
            pass

    waiting = threading.Thread(target=wait)
    with forks.processes.cores(all_cores=True):
        waiting.start()
        _wait_for(forks.folder / "imports")
    waiting.join()
    assert forks.run("x", "import slow") == (0, "")
    assert forks.imports == 1


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('')", 1, ""),
        ("import sys; sys.exit('error: no rows')", 1, "error: no rows"),
        ("raise ValueError('no rows')", 1, "ValueError: no rows"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import atexit; atexit.register(print, 'left')", 0, "left"),
        ("import threading as t; t.Timer(0.2, print, ['late']).start()", 0, "late"),
    ],
)
def test_a_fork_ends_as_a_process_does(forks: Forks, code: str, status: int, says: str) -> None:
    forks.start()
    ended, log = forks.run("x", f"import slow\n{code}")
    assert (ended, forks.imports) == (status, 1)
    assert says in log


def test_a_fork_does_not_take_apart_what_it_shares(forks: Forks) -> None:
    forks.start()
    code = "import slow\nclass Kept:\n    __del__ = lambda _: print('freed')\nslow.kept = Kept()"
    assert forks.run("x", code) == (0, "")


def test_variables_that_an_import_may_read_have_a_process_of_their_own(forks: Forks) -> None:
    forks.start()
    assert forks.run("x", "import slow, os; print(os.environ['HF_HOME'])", HF_HOME="/x") == (
        0,
        "/x\n",
    )
    assert forks.run("y", "import slow") == (0, "")
    assert forks.imports == 2


def test_what_a_library_computes_in_threads_is_the_same_in_a_fork(forks: Forks) -> None:
    code = "import numpy as np\na = np.arange(250000.0).reshape(500, 500) % 7\nprint((a @ a).sum())"
    alone = forks.run("alone", code)
    forks.processes.fork_early(environment=forks.environment, imports=["numpy", "pyarrow"])
    assert forks.run("first", code) == forks.run("second", code) == alone


def test_without_its_server_a_command_starts_by_itself(forks: Forks) -> None:
    forks.start()
    # The server has to say the child's id first, or else the command starts by itself at once.
    code = "import slow, os, time; time.sleep(1); os.kill(os.getppid(), 9); time.sleep(60)"
    forks.run("x", code)
    assert forks.run("y", "print('here')") == (0, "here\n")


def test_a_stop_ends_a_fork_and_what_it_started(forks: Forks) -> None:
    forks.start()
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('up', flush=True)\n"
    code += "import time; time.sleep(60)"
    ends: list[int] = []
    thread = threading.Thread(target=lambda: ends.append(forks.run("x", code)[0]))
    thread.start()
    log = forks.folder / "x.log"
    while not (log.is_file() and "up" in log.read_text()):
        time.sleep(0.05)
    forks.processes.stop(signal.SIGTERM)
    thread.join(30)
    assert ends == [-signal.SIGTERM]
    with pytest.raises(StoppedError):
        forks.run("y", "")


def test_a_fork_ends_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.pipeline.runner.test_fork_server import Forks\n"
        f"forks = Forks(Path({str(tmp_path)!r})); forks.start()\n"
        "forks.run('x', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)')\n"
    )
    log = tmp_path / "x.log"
    with subprocess.Popen([sys.executable, "-c", code]) as runner:
        while not (log.is_file() and log.read_text().strip()):
            assert runner.poll() is None
            time.sleep(0.05)
        runner.kill()
    pid = int(log.read_text())
    for _ in range(100):
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return
    pytest.fail("it runs on")
