"""The tools' CodeBuild on this machine: a repository of git, and builds run as their own roles."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verification.deploy.accounts.organization import Organization
from verification.deploy.accounts.sessions import ServiceError, Session
from verification.deploy.process import ROOT, Emulator

URL = "https://github.com/acme/triage.git"
# What a delivery reads: what is synthesized, and what the images are made of.
_FILES = (
    ".dockerignore", ".gitignore", "LICENSE", "Makefile", "README.md", "cdk.json", "contracts",
    "delivery.mk", "operations.mk",
    "engine.mk", "images", "infra", "package-lock.json", "package.json", "pipelines",
    "pyproject.toml", "recipes", "requirements", "setup.py", "src",
)  # fmt: skip
_AUTHOR = {"NAME": "Ada", "EMAIL": "ada@example.invalid"}


@dataclass(frozen=True)
class Repository:
    """A clone whose `main` is what the host has."""

    folder: Path  # of its working tree

    @property
    def head(self) -> str:
        return self.git("rev-parse", "main")

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def commit(self, message: str, *, branch: str, files: Mapping[str, str]) -> None:
        self.git("switch", "--quiet", "--create", branch, "main")
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")
        self.git("switch", "--quiet", "main")

    def merge(self, branch: str) -> str:
        """Merges a branch into `main`, as a reviewed change; returns the commit."""
        self.git("merge", "--quiet", "--no-ff", f"--message=Merge {branch}", branch)
        return self.head

    def revert(self) -> str:
        """Takes the last merge back; returns the commit."""
        self.git("revert", "--no-edit", "--mainline=1", "HEAD")
        return self.head


def new_repository(folder: Path, files: Mapping[str, str]) -> Repository:
    """Makes a repository of this project, without the settings of any environment.

    `files` take the place of the project's.
    """
    folder.mkdir()
    for name in _FILES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config/base.yaml", folder / "config")
    for name, text in files.items():
        (folder / name).write_text(text)
    repository = Repository(folder)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message=The project")
    return repository


def git(folder: Path, *arguments: str) -> str:
    """Runs git without the settings of whoever runs this; returns what it printed."""
    people = {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in _AUTHOR.items()}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **people},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


# Installing takes minutes and a network, and `make check test` runs elsewhere: neither does here.
_MAKE = """#!/bin/bash
set -euo pipefail
link() {{ ln -sfn {root}/.venv .venv; ln -sfn {root}/node_modules node_modules; }}
case "$1" in
  check) ;;
  deploy-tools | node_modules/.done) link ;;
  synth) link; exec {make} -o .venv/bin/.infra -o node_modules/.done "$@" ;;
  *) echo "make $*: not known to the emulator" >&2; exit 2 ;;
esac
"""
_NPM = """#!/bin/bash
set -euo pipefail
test "$1 $2 $4" = "ci --prefix --ignore-scripts" || {{ echo "npm $*: not known" >&2; exit 2; }}
cmp "$3/package-lock.json" {root}/package-lock.json
mkdir -p "$3/node_modules/.bin"
cdk="$3/node_modules/.bin/cdk"
printf '#!/bin/bash\\nexec {root}/node_modules/.bin/cdk --no-notices "$@"\\n' > "$cdk"
chmod +x "$cdk"
"""
_NPX = """#!/bin/bash
test "$1 $2" = "--no-install cdk" || {{ echo "npx $*: not known to the emulator" >&2; exit 2; }}
exec {root}/node_modules/.bin/cdk --no-notices "${{@:3}}"
"""
_AWS = """#!{python}
import sys
import boto3
from botocore import xform_name
service, operation, *rest = sys.argv[1:]
options = dict(zip(rest[::2], rest[1::2]))
client = boto3.client(service, region_name=options.pop("--region", None))
method = operation.replace("-", "_")
model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
names = {{"--" + xform_name(name, "-"): name for name in model.input_shape.members}}
getattr(client, method)(**{{names[option]: value for option, value in options.items()}})
"""


def install_tools(folder: Path) -> Path:
    """Writes the tools that a build finds first on its PATH; returns their folder."""
    folder.mkdir()
    values = {"root": ROOT, "make": shutil.which("make"), "python": sys.executable}
    for name, text in {"make": _MAKE, "npm": _NPM, "npx": _NPX, "aws": _AWS}.items():
        script = folder / name
        script.write_text(text.format(**values))
        script.chmod(0o755)
    return folder


def write_git_settings(home: Path, repository: Path, *, pushes: bool) -> None:
    """Lets git reach the repository under its URL, and push only with the connection's token."""
    own = f'[url "file://{repository}"]\n\tinsteadOf = {URL}\n'
    none = f'[url "file:///dev/null"]\n\tpushInsteadOf = file://{repository}\n'
    (home / ".gitconfig").write_text(own + ("" if pushes else none))


CLONE = "clone.json"  # in a source's artifact: the commit that a build clones


@dataclass(frozen=True, kw_only=True)
class Build:
    """What became of a build."""

    status: str  # SUCCEEDED, FAILED, or STOPPED where it was killed
    output: str
    exports: Mapping[str, str] = field(default_factory=dict)
    artifact: bytes = b""  # a zip of its files; empty where it has none


class Builds:
    """The builds of the tools' account; `tools` is the folder that is first on their PATH."""

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
        self._folder, self._connection = folder, connection
        self.tools = install_tools(folder / "tools")
        self._process: subprocess.Popen[bytes] | None = None

    def project(self, name: str) -> Any:
        return self._tools.client("codebuild").batch_get_projects(names=[name])["projects"][0]

    def run(self, name: str, variables: Mapping[str, str], *, source: bytes = b"") -> Build:
        """Runs a project, of a pipeline on its artifact `source`, else on what it clones."""
        project = self.project(name)
        home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
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
        actions = {"read_only": "GitPull", "read_write": "GitPush"}
        context = {
            "codeconnections:fullrepositoryid": "acme/triage",
            "codeconnections:provideraction": actions[permissions],
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
    packed = io.BytesIO()
    base = place / (artifacts or {}).get("base-directory", ".")
    with zipfile.ZipFile(packed, "w") as files:
        for pattern in (artifacts or {}).get("files", ()):
            for path in sorted(base.glob(pattern)):
                if path.is_file():
                    files.write(path, path.relative_to(base))
    return packed.getvalue() if artifacts else b""
