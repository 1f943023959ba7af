"""Runs one job: reuses a cached result, or stages inputs, runs and collects outputs."""

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.base.files import lies_within, read_json, sha256_bytes, walk_files, write_json
from sashiko.errors import InputError
from sashiko.pipeline.runner.cache import CacheEntry, StepCache, cache_key
from sashiko.pipeline.runner.code import CodeDigests
from sashiko.pipeline.runner.digests import Digests
from sashiko.pipeline.runner.disk import translate_disk_errors
from sashiko.pipeline.runner.failure import failure_reason
from sashiko.pipeline.runner.local_job import Events, Job, Outcome, Result
from sashiko.pipeline.runner.process import Exit, Processes
from sashiko.pipeline.runner.run_record import DataRecord
from sashiko.pipeline.runner.store import Store, copy_files
from sashiko.pipeline.runner.workspace import Workspace


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
            source.name: DataRecord(
                uri=source.uri, sha256=self.digests.data(self.store, source.uri)
            )
            for source in job.sources
        }
        key = cache_key(
            job,
            kind=kind,
            inputs={name: record.sha256 for name, record in inputs.items()},
            code=self.code(job.command),
        )
        entry = None
        if expires is not None and not forced:
            entry = self._reusable(key, expires=expires, events=events)
        if entry:
            return Outcome(
                status="cached",
                description=entry.described,
                inputs=inputs,
                outputs=entry.outputs,
                cached_from=entry.run,
            )
        with self.processes.cores(all_cores=job.all_cores or len(job.hosts) > 1):
            events.started()
            workspaces = self._workspaces(job)
            reasons = self._run_instances(job, workspaces, staged=staged, key=key, events=events)
            if reasons:
                return Outcome(
                    status="failed", description=description, inputs=inputs, reason=reasons[0]
                )
            outputs = {
                result.name: self._collect(result, tuple(workspaces.values()))
                for result in job.results
            }
        if expires is not None:
            self.cache.put(key, run=self.run_id, described=description, outputs=outputs)
        if job.checkpoints:
            self._checkpoint_key(job).unlink(missing_ok=True)
        Workspace(self._work(job)).remove()
        return Outcome(status="succeeded", description=description, inputs=inputs, outputs=outputs)

    def log(self, step: str) -> Path:
        """Returns the log file of a step."""
        return self.run_folder / "logs" / f"{step}.log"

    def _work(self, job: Job) -> Path:
        return self.run_folder / "work" / job.step

    def _workspaces(self, job: Job) -> dict[str, Workspace]:
        """Returns the workspace of each instance."""
        work = self._work(job)
        if len(job.hosts) == 1:
            return {job.hosts[0]: Workspace(work)}
        return {host: Workspace(work / host) for host in job.hosts}

    def _run_instances(
        self,
        job: Job,
        workspaces: Mapping[str, Workspace],
        *,
        staged: Mapping[str, Mapping[str, Path]],
        key: str,
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
            process_exit = self._start(
                job, host, workspace, log=logs[host], staged=staged, key=key, events=events
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
                _join_logs(logs, log)
        return [reason for reason in reasons if reason]

    def _start(
        self,
        job: Job,
        host: str,
        workspace: Workspace,
        *,
        log: Path,
        staged: Mapping[str, Mapping[str, Path]],
        key: str,
        events: Events,
    ) -> Exit:
        workspace.prepare(job, host=host, checkpoints=self._checkpoints(job, key))
        for source in job.sources:
            copy_files(staged[source.name], workspace.path(source.folder))
        command, environment = workspace.command(job), workspace.environment(job)
        workspace.write_rerun(command, environment)
        return self.processes.run(
            command,
            environment=environment,
            folder=workspace.root,
            log=log,
            on_line=events.line,
            max_seconds=job.max_seconds,
        )

    def _collect(self, result: Result, workspaces: Sequence[Workspace]) -> DataRecord:
        files: dict[str, Path] = {}
        for workspace in workspaces:
            new = _output_files(result, workspace)
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


def _output_files(result: Result, workspace: Workspace) -> dict[str, Path]:
    folder = workspace.path(result.folder)
    files = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
    for path in (folder, *files.values()):
        if not lies_within(path, workspace.root):
            raise InputError(
                f"output {result.name}: {path} is a link that leads out of the job's folder: "
                "write the file itself"
            )
    return files


def _join_logs(logs: Mapping[str, Path], log: Path) -> None:
    """Writes the logs of all instances into the step's."""
    with translate_disk_errors(f"cannot write {log}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as joined:
            for host, path in logs.items():
                if path.is_file():
                    joined.write(f"== {host}\n".encode())
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, joined)
