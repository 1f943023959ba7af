"""The reason of a failed step, and the commands to continue with."""

import signal
from pathlib import Path

from sashiko.pipeline.runner.local_job import Job
from sashiko.pipeline.runner.process import Exit, last_lines
from sashiko.pipeline.runner.run_record import StepRecord
from sashiko.pipeline.runner.workspace import Workspace

_SHOWN_LINES = 15
_NO_MEMORY = (
    "; the machine may have run out of memory (`dmesg` says so): close what else is at work, or "
    "make the step's batches smaller, and run again"
)
_SEARCHED_LINES = 50


def failure_reason(process_exit: Exit, job: Job, *, workspace: Workspace, log: Path) -> str:
    """Returns why a job's process failed, from the best available source."""
    failure_file = workspace.path("/opt/ml/output/failure")
    if process_exit.timed_out:
        return f"stopped after {job.max_seconds} s, the step's MaxRuntimeInSeconds"
    if failure_file.is_file() and (text := failure_file.read_text(errors="replace").strip()):
        return text
    if process_exit.status < 0:  # before the log: a killed process logs no reason
        name = signal.Signals(-process_exit.status).name
        return f"killed by {name}{_NO_MEMORY if name == 'SIGKILL' else ''}"
    lines = last_lines(log, _SEARCHED_LINES)
    for line in reversed(lines):
        if line.startswith("error:"):
            return line.removeprefix("error:").strip()
    return f"exit status {process_exit.status}" + (f": {lines[-1].strip()}" if lines else "")


def failure_report(step: StepRecord, *, run_folder: Path, command: str) -> str:
    """Formats the report of a failed step: reason, last lines, log, commands.

    Args:
        step: the failed one.
        run_folder: of its run.
        command: the command line that runs it and all that follows again.
    """
    log = run_folder / step.log
    rerun = run_folder / "work" / step.name / "rerun.sh"
    lines = [f"step {step.name} failed: {step.reason}"]
    if step.log and (tail := last_lines(log, _SHOWN_LINES)):
        lines += ["", f"the last lines of {log}:", *(f"  {line.rstrip()}" for line in tail)]
    lines += ["", "after the fix, run this step and all that follows again:"]
    lines += [f"  {command}"]
    if rerun.is_file():
        lines += ["or the step alone, in its folders as they are:", f"  sh {rerun}"]
    return "\n".join(lines)
