"""A job's own `/opt/ml`: its folders, and its environment and command with their paths."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import write_json
from sashiko.pipeline.dependencies import source_folders
from sashiko.pipeline.runner.disk import translate_disk_errors
from sashiko.pipeline.runner.local_job import Job

_CONTAINER = re.compile(r"(?<![\w/.-])/opt/ml(?![\w.-])")
_PYTHONS = ("python", "python3")
_INHERITED = re.compile(
    r"HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|OPENBLAS_(?:CORETYPE|L2_SIZE)"
    r"|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
)


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
        inherited = {
            name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)
        }
        variables = {name: self._rewrite(value) for name, value in job.environment.items()}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        fixed = {
            "PYTHONPATH": os.pathsep.join(
                filter(None, (variables.get("PYTHONPATH"), *map(str, source_folders())))
            ),
            "OPT_ML": str(self.path("/opt/ml")),
            "TMPDIR": str(self.path("/tmp")),  # noqa: S108  # the job's own
            "PYTHONUNBUFFERED": "1",
            # A job must not use the credentials of the user.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
        }
        return inherited | {"PATH": path} | variables | fixed

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

    def remove(self) -> None:
        """Removes the workspace, as far as its files can be deleted."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _rewrite(self, text: str) -> str:
        return _CONTAINER.sub(lambda _: str(self.path("/opt/ml")), text)
