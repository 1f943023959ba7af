"""CodeBuild on this machine: a project's own build specification, run as its own role."""

import io
import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verification.deploy.accounts.answers import ServiceError
from verification.deploy.accounts.organization import Organization
from verification.deploy.accounts.sessions import Session
from verification.deploy.process import Emulator
from verification.deploy.releases.machine import install_tools, write_git_settings
from verification.deploy.releases.repository import Repository, git

CLONE = "clone.json"  # in a source's artifact: the commit that a build clones


@dataclass(frozen=True, kw_only=True)
class Build:
    """What became of a build.

    Attributes:
        status: SUCCEEDED, FAILED, or STOPPED where it was killed.
        output: all it printed.
        exports: the variables that it exports.
        artifact: a zip of its files; empty where it has none.
    """

    status: str
    output: str
    exports: Mapping[str, str] = field(default_factory=dict)
    artifact: bytes = b""


class Builds:
    """The builds of the tools' account.

    Attributes:
        folder: has a folder for each build, by its number and name, with `src` in it.
        tools: the folder of what a build finds first on its PATH.
        count: how many have begun.
    """

    def __init__(
        self,
        organization: Organization,
        tools: Emulator,
        repository: Repository,
        folder: Path,
        *,
        connection: str,
    ) -> None:
        """Runs them in a new folder; `connection` is the ARN of what they clone through."""
        folder.mkdir()
        self._organization, self._tools, self._repository = organization, tools, repository
        self.folder, self._connection = folder, connection
        self.tools = install_tools(folder / "tools")
        self.count = 0
        self._process: subprocess.Popen[bytes] | None = None

    def project(self, name: str) -> Any:
        """Describes a project."""
        return self._tools.client("codebuild").batch_get_projects(names=[name])["projects"][0]

    def run(self, name: str, variables: Mapping[str, str], *, source: bytes = b"") -> Build:
        """Runs a project, of a pipeline on its artifact `source`, else on what it clones."""
        project, home = self.project(name), self._new_home(name)
        spec = json.loads(project["source"]["buildspec"])
        place = self._check_out(home, project, source)
        pushes = self._uses_connection(project["serviceRole"], "read_write")
        helped = spec["env"].get("git-credential-helper") == "yes"
        write_git_settings(home, self._repository.folder, pushes=helped and pushes)
        session = self._organization.service(
            "codebuild", project["serviceRole"], source=project["arn"]
        )
        environment = {**self._environment(project, spec, home, session), **variables}
        status, output = self._execute(spec, place, environment)
        values = (home / "exports").read_text().splitlines() if status == "SUCCEEDED" else []
        return Build(
            status=status,
            output=output,
            exports=dict(line.split("=", 1) for line in values),
            artifact=_pack(place, spec.get("artifacts")) if status == "SUCCEEDED" else b"",
        )

    def kill(self) -> None:
        """Kills what runs, as CodeBuild does when it stops a build or loses its host."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _new_home(self, name: str) -> Path:
        self.count += 1
        home = self.folder / f"{self.count}-{name}"
        home.mkdir()
        return home

    def _check_out(self, home: Path, project: Any, source: bytes) -> Path:
        """Unpacks the artifact, or clones what the role may read through the connection."""
        place = home / "src"
        commit = "main"
        if source:
            with zipfile.ZipFile(io.BytesIO(source)) as files:
                files.extractall(place)
                if CLONE not in files.namelist():
                    return place
            commit = json.loads((place / CLONE).read_text())["commit"]
            (place / CLONE).unlink()
        role = project["serviceRole"]
        if not self._uses_connection(role, "read_only"):
            raise ServiceError("AccessDenied", f"{role} may not clone through {self._connection}")
        git(home, "clone", "--quiet", str(self._repository.folder), str(place))
        git(place, "checkout", "--quiet", "--detach", commit)
        return place

    def _uses_connection(self, role: str, permissions: str) -> bool:
        """Whether a role may read, or write, the repository through the connection."""
        context = {
            "codeconnections:fullrepositoryid": "acme/triage",
            "codeconnections:provideraction": {"read_only": "GitPull", "read_write": "GitPush"}[
                permissions
            ],
            "codeconnections:providerpermissionsrequired": permissions,
        }
        action = "codeconnections:UseConnection"
        return self._organization.may(role, action, self._connection, **context)

    def _environment(self, project: Any, spec: Any, home: Path, session: Session) -> dict[str, str]:
        environ = self._tools.environment()
        given = project["environment"].get("environmentVariables", ())
        return {
            **{name: value for name, value in environ.items() if "ACCESS_KEY" not in name},
            **spec["env"].get("variables", {}),
            **{item["name"]: item["value"] for item in given},
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self._organization.container(session),
            "AWS_ENDPOINT_URL": self._organization.url,
            "CDK_HOME": str(home),
            "CDK_VALIDATION": "false",  # 4 s a template, and tests/infra runs it
            "CODEBUILD_BUILD_URL": f"https://console.aws.amazon.com/codebuild/{project['name']}",
            "EXPORTS": str(home / "exports"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(home),
            "PATH": f"{self.tools}:{environ['PATH']}",
        }

    def _execute(self, spec: Any, place: Path, environment: Mapping[str, str]) -> tuple[str, str]:
        """Runs the phases; a build that is killed has no further one."""
        exports = [
            f'printf "%s=%s\\n" {name} "${name}" >> "$EXPORTS"'
            for name in spec["env"].get("exported-variables", ())
        ]
        commands = [*spec["phases"]["build"]["commands"], *exports, 'touch "$EXPORTS"']
        code, output = self._shell(commands, place, environment)
        if code == -signal.SIGKILL:
            return "STOPPED", output
        after = spec["phases"].get("post_build", {}).get("commands", ())
        succeeding = {"CODEBUILD_BUILD_SUCCEEDING": str(int(code == 0))}
        last, more = self._shell(after, place, {**environment, **succeeding})
        return "FAILED" if code or last else "SUCCEEDED", output + more

    def _shell(self, commands: Any, place: Path, environment: Mapping[str, str]) -> tuple[int, str]:
        """Runs all commands in one shell, as version 0.2 of a build specification has it."""
        self._process = subprocess.Popen(
            ["bash", "-c", "\n".join(commands)],
            cwd=place,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output, _ = self._process.communicate()
        code, self._process = self._process.returncode, None
        return code, output.decode(errors="replace")


def _pack(place: Path, artifacts: Any) -> bytes:
    """Zips the files that a build specification names."""
    packed = io.BytesIO()
    base = place / (artifacts or {}).get("base-directory", ".")
    with zipfile.ZipFile(packed, "w") as files:
        for pattern in (artifacts or {}).get("files", ()):
            for path in sorted(base.glob(pattern)):
                if path.is_file():
                    files.write(path, path.relative_to(base))
    return packed.getvalue() if artifacts else b""
