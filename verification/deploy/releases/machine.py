"""The machine of a build: the stock tools, and this checkout's installation for a new one."""

import shutil
import sys
from pathlib import Path

from verification.deploy.process import ROOT
from verification.deploy.releases.repository import URL

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
