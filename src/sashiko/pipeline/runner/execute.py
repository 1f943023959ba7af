"""Runs one job: reuses a cached result, or stages inputs, runs and collects outputs."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sashiko.base.files import (
    canonical_json,
    lies_within,
    read_json,
    sha256_bytes,
    translate_disk_errors,
    walk_files,
    write_json,
)
from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, parse_duration
from sashiko.pipeline.definition.graph import resolve_steps, up_to
from sashiko.pipeline.definition.job_arguments import image_of, job_arguments
from sashiko.pipeline.dependencies import source_folders
from sashiko.pipeline.runner.code import CodeDigests
from sashiko.pipeline.runner.local_job import Events, Image, Job, Outcome, Result, make_job
from sashiko.pipeline.runner.process import Exit, Processes, last_lines
from sashiko.pipeline.runner.run_record import DataRecord, RunRecord, StepRecord, now, stamp
from sashiko.pipeline.runner.store import Digests, Store, copy_files

_CONTAINER = re.compile(r"(?<![\w/.-])/opt/ml(?![\w.-])")
_PYTHONS = ("python", "python3")
_INHERITED = re.compile(
    r"HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|OPENBLAS_(?:CORETYPE|L2_SIZE)"
    r"|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
)


def shared_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns what jobs with these variables have in common, without credentials."""
    inherited = {key: text for key, text in os.environ.items() if _INHERITED.fullmatch(key)}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    folders = filter(None, (variables.get("PYTHONPATH"), *map(str, source_folders())))
    fixed = {
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONUNBUFFERED": "1",
        # A job must not use the credentials of the user.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
    }
    return inherited | {"PATH": path} | dict(variables) | fixed


@dataclass(frozen=True)
class Workspace:
    """The folder of one instance of a job: in `work` of the run's folder."""

    root: Path

    def path(self, container_path: str) -> Path:
        """Returns the local path of a container path such as `/opt/ml/model`."""
        return self.root / container_path.lstrip("/")

    def prepare(self, job: Job, *, host: str, checkpoints: Path | None) -> None:
        """Creates the folders and configuration files of one of the job's instances.

        They replace those of an earlier attempt.

        Raises:
            InputError: if they cannot be written.
        """
        with translate_disk_errors(f"cannot make the workspace of step {job.step}"):
            shutil.rmtree(self.root, ignore_errors=True)
            for folder in (*job.folders, "/opt/ml/output", "/tmp"):  # noqa: S108  # the job's own
                self.path(folder).mkdir(parents=True, exist_ok=True)
            if checkpoints:
                checkpoints.mkdir(parents=True, exist_ok=True)
                self.path("/opt/ml/checkpoints").symlink_to(checkpoints.absolute())
        for path, value in job.config_on(host).items():
            write_json(self.path(path), value)

    def command(self, job: Job) -> list[str]:
        """Returns the job's command with this machine's Python and this workspace's paths."""
        first, *rest = (self._rewrite(argument) for argument in job.command)
        return [sys.executable if first in _PYTHONS else first, *rest]

    def environment(self, job: Job) -> dict[str, str]:
        """Returns the job's complete environment: few inherited variables, and no credentials."""
        variables = {name: self._rewrite(value) for name, value in job.environment.items()}
        return {
            **shared_environment(variables),
            "OPT_ML": str(self.path("/opt/ml")),
            "TMPDIR": str(self.path("/tmp")),  # noqa: S108  # the job's own
        }

    def write_rerun(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Writes `rerun.sh`, which starts the job again in its existing folders."""
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        script = self.root / "rerun.sh"
        with translate_disk_errors(f"cannot write {script}"):
            script.write_text(
                f"#!/bin/sh\ncd {shlex.quote(str(self.root))} || exit 1\n"
                f"exec env -i {settings} {shlex.join(command)}\n"
            )
            script.chmod(0o755)

    def _rewrite(self, text: str) -> str:
        return _CONTAINER.sub(lambda _: str(self.path("/opt/ml")), text)


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

    `command` is the command line that runs it and all that follows again.
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


class CacheEntry(Frozen):
    """A finished step."""

    run: str
    made: str  # time of the entry, UTC, ISO 8601
    described: dict[str, Any]  # the Describe response of its job; later steps refer to it
    outputs: dict[str, DataRecord]


class _Stored(Frozen):
    entry: CacheEntry
    sha256: str = ""

    @property
    def digest(self) -> str:
        return sha256_bytes(canonical_json(self.entry.model_dump(mode="json")))


@dataclass(frozen=True)
class StepCache:
    """The folder of finished steps; it is created with the first one."""

    folder: Path

    def find(self, key: str, *, expires: str) -> CacheEntry | None:
        """Returns the entry of a key, or None if there is none or it is too old.

        Raises:
            InputError: if it is damaged.
        """
        path = self.folder / f"{key}.json"
        if not path.is_file():
            return None
        stored = validate(_Stored, read_json(path), source=str(path))
        if stored.sha256 != stored.digest:
            raise InputError(f"{path} has changed since it was written (its sha256 differs)")
        age = now() - datetime.fromisoformat(stored.entry.made)
        return None if expires and age > parse_duration(expires) else stored.entry

    def put(self, key: str, *, run: str, described: Any, outputs: dict[str, DataRecord]) -> None:
        """Writes an entry atomically."""
        entry = CacheEntry(run=run, made=stamp(now()), described=described, outputs=outputs)
        stored = _Stored(entry=entry)
        content = stored.model_dump(mode="json") | {"sha256": stored.digest}
        write_json(self.folder / f"{key}.json", content)


def cache_key(job: Job, *, kind: str, inputs: Mapping[str, str], code: str) -> str:
    """Returns the cache key of a job: SageMaker's attributes, with content digests for URIs.

    As in SageMaker, a step reuses the result of a step of the same name only.
    """
    staged = {source.name: [source.folder, inputs[source.name]] for source in job.sources}
    fields = {"step": job.step, "type": kind, "code": code, "inputs": staged, **job.cache_fields}
    return sha256_bytes(canonical_json(fields))


@dataclass(frozen=True)
class Executor:
    """Runs the jobs of one run; may be used from several threads."""

    run_id: str
    run_folder: Path
    store: Store
    digests: Digests
    code: CodeDigests
    cache: StepCache
    checkpoint_keys: Path  # folder with the cache key that each checkpoint folder belongs to
    processes: Processes

    def run(
        self,
        job: Job,
        *,
        kind: str,
        description: Mapping[str, Any],
        expires: str | None,
        forced: bool,
        events: Events,
    ) -> Outcome:
        """Runs a job, or reuses an equal one's result for `expires` ("" for ever, None not at all).

        Raises:
            StoppedError: if the run is being stopped.
            InputError: if an input is missing or the disk fails.
        """
        staged = {source.name: self.store.files(source.uri) for source in job.sources}
        inputs = {
            item.name: DataRecord(uri=item.uri, sha256=self.digests.data(self.store, item.uri))
            for item in job.sources
        }
        digests = {name: record.sha256 for name, record in inputs.items()}
        key = cache_key(job, kind=kind, inputs=digests, code=self.code(job.command))
        entry = None
        if expires is not None and not forced:
            entry = self._reusable(key, expires=expires, events=events)
        if entry:
            outputs, source = entry.outputs, entry.run
            return Outcome("cached", entry.described, inputs, outputs, cached_from=source)
        imports = self.code.slow_imports(job.command)
        all_cores = job.all_cores or len(job.hosts) > 1
        with self.processes.cores(all_cores=all_cores, imports=imports):
            events.started()
            work, several = self.run_folder / "work" / job.step, len(job.hosts) > 1
            workspaces = {host: Workspace(work / host if several else work) for host in job.hosts}
            reasons = self._run_instances(
                job, workspaces, staged=staged, key=key, imports=imports, events=events
            )
            if reasons:
                return Outcome("failed", description, inputs, reason=reasons[0])
            places = tuple(workspaces.values())
            outputs = {result.name: self._collect(result, places) for result in job.results}
        if expires is not None:
            self.cache.put(key, run=self.run_id, described=description, outputs=outputs)
        if job.checkpoints:
            self._checkpoint_key(job).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        return Outcome("succeeded", description, inputs, outputs)

    def log(self, step: str) -> Path:
        """Returns the log file of a step."""
        return self.run_folder / "logs" / f"{step}.log"

    def _run_instances(
        self,
        job: Job,
        workspaces: Mapping[str, Workspace],
        *,
        staged: Mapping[str, Mapping[str, Path]],
        key: str,
        imports: Sequence[str],
        events: Events,
    ) -> list[str]:
        """Runs all instances side by side, and returns why some of them failed.

        "A processing job completes if all of the processing containers exit successfully with an
        exit code of 0, and fails if any of the containers exits with a non-zero exit code" ("How
        Amazon SageMaker Processing Runs Your Processing Container Image", Developer Guide).
        """
        log = self.log(job.step)
        several = len(job.hosts) > 1
        logs = {host: log.with_suffix("") / f"{host}.log" if several else log for host in job.hosts}

        def run(host: str) -> str:
            workspace = workspaces[host]
            workspace.prepare(job, host=host, checkpoints=self._checkpoints(job, key))
            for source in job.sources:
                copy_files(staged[source.name], workspace.path(source.folder))
            command, environment = workspace.command(job), workspace.environment(job)
            workspace.write_rerun(command, environment)
            process_exit = self.processes.run(
                command,
                environment=environment,
                folder=workspace.root,
                log=logs[host],
                imports=imports,
                on_line=events.line,
                max_seconds=job.max_seconds,
            )
            if process_exit.status == 0:
                return ""
            reason = failure_reason(process_exit, job, workspace=workspace, log=logs[host])
            return f"{host}: {reason}" if several else reason

        try:
            with ThreadPoolExecutor(max_workers=len(job.hosts)) as instances:
                reasons = list(instances.map(run, job.hosts))
        finally:
            if several:
                log.parent.mkdir(parents=True, exist_ok=True)
                with translate_disk_errors(f"cannot write {log}"), log.open("wb") as joined:
                    for host, path in logs.items():
                        if path.is_file():
                            joined.write(f"== {host}\n".encode())
                            with path.open("rb") as part:
                                shutil.copyfileobj(part, joined)
        return [reason for reason in reasons if reason]

    def _collect(self, result: Result, workspaces: Sequence[Workspace]) -> DataRecord:
        files: dict[str, Path] = {}
        for workspace in workspaces:
            folder = workspace.path(result.folder)
            new = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
            for path in (folder, *new.values()):
                if not lies_within(path, workspace.root):
                    raise InputError(
                        f"output {result.name}: {path} is a link that leads out of the job's "
                        "folder: write the file itself"
                    )
            for name in files.keys() & new.keys():
                raise InputError(
                    f"output {result.name}: two instances write {name}, and S3 would keep one: "
                    "have its name contain the instance"
                )
            files |= new
        target = self.store.path(result.uri)
        if result.kind == "archive":
            self.store.put_archive(result.uri, files)
            return DataRecord(uri=result.uri, sha256=self.digests.file(target))
        sha256 = self.digests.tree(files)
        if not target.is_dir() or self.digests.output(self.store, result.uri) != sha256:
            self.store.put(result.uri, files)
        return DataRecord(uri=result.uri, sha256=self.digests.output(self.store, result.uri))

    def _reusable(self, key: str, *, expires: str, events: Events) -> CacheEntry | None:
        try:
            entry = self.cache.find(key, expires=expires)
        except InputError as error:
            events.note(f"the record of an earlier result is damaged: running again ({error})")
            return None
        if entry is None:
            return None
        for name, output in entry.outputs.items():
            if not self.store.path(output.uri).exists():
                events.note(f"output {name} of run {entry.run} is gone: running again")
                return None
            if self.digests.output(self.store, output.uri) != output.sha256:
                events.note(f"output {name} of run {entry.run} was changed: running again")
                return None
        return entry

    def _checkpoints(self, job: Job, key: str) -> Path | None:
        """Returns the folder of checkpoints, emptied unless an unfinished equal job wrote them."""
        if not job.checkpoints:
            return None
        folder = self.store.path(job.checkpoints)
        stored_key = None
        with contextlib.suppress(InputError):
            stored_key = read_json(self._checkpoint_key(job))
        if stored_key != key:
            shutil.rmtree(folder, ignore_errors=True)
            write_json(self._checkpoint_key(job), key)
        return folder

    def _checkpoint_key(self, job: Job) -> Path:
        return self.checkpoint_keys / f"{sha256_bytes(job.checkpoints.encode())[:32]}.json"


def replay(
    run: RunRecord, definition: Definition, step: str, *, store: Store, folder: Path
) -> Mapping[str, Path]:
    """Runs a step's job again in an empty folder, without writing to the run or the store.

    Returns:
        Output name -> the folder with the new output.

    Raises:
        InputError: if an input is gone, or the job does not succeed.
    """
    steps = resolve_steps(
        up_to(definition, step),
        parameters=run.parameters,
        execution={
            "PipelineName": run.pipeline,
            "PipelineExecutionId": run.id,
            "StartDateTime": run.start,
        },
        job_name=lambda step: run.step(step).job,
    )
    defined, values = next(pair for pair in steps if pair[0].name == step)
    arguments, record = job_arguments(defined, values), run.step(step)
    images = {image_of(arguments): Image(())}
    job = make_job(step, arguments, name=record.job, images=images, resolved=values)
    workspace, log = Workspace(folder), folder / "replay.log"
    workspace.prepare(job, host=job.hosts[0], checkpoints=None)
    for source in job.sources:
        uri = record.inputs[source.name].uri  # of a cached step, another run's
        copy_files(store.files(uri), workspace.path(source.folder))
    process_exit = Processes(1).run(
        workspace.command(job),
        environment=workspace.environment(job),
        folder=folder,
        log=log,
        on_line=lambda _: None,
        max_seconds=job.max_seconds,
    )
    if process_exit.status != 0:
        reason = failure_reason(process_exit, job, workspace=workspace, log=log)
        raise InputError(f"step {step} of run {run.id} does not succeed again: {reason}")
    return {result.name: workspace.path(result.folder) for result in job.results}
