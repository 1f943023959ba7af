"""Lambda executes: the code that moto runs in Docker runs here as a process of this Python.

The process has the function's own files, boto3 pointed at this server, and everything else that
this Python has. `sashiko_cdk/functions/python_function.py` checks that a function imports no more
than Lambda brings.
"""

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction

ROLE_KEY = "role-"
_RUN = """
import importlib, json, pathlib, sys, types
name, answer = sys.argv[1:]
module, _, function = name.rpartition(".")
sys.path.insert(0, ".")
handler = getattr(importlib.import_module(module), function)
context = types.SimpleNamespace(
    aws_request_id="emulated", get_remaining_time_in_millis=lambda: 900_000
)
result = handler(json.load(sys.stdin), context)
pathlib.Path(answer).write_text(json.dumps(result))
"""


def install(url: str) -> None:
    """Makes every way to invoke a function execute it; `url` is this server's address."""

    def invoke(self: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
        return _execute(self, event or {}, url)

    LambdaFunction._invoke_lambda = invoke


def _execute(function: LambdaFunction, event: Any, url: str) -> tuple[str, bool, str]:
    """Runs a handler; returns its result or error, whether it failed, and its log."""
    with tempfile.TemporaryDirectory() as folder:
        code, answer = Path(folder, "code"), Path(folder, "answer.json")
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as files:
            files.extractall(code)
        try:
            process = subprocess.run(
                [sys.executable, "-I", "-c", _RUN, str(function.handler), str(answer)],
                cwd=code,
                env=_environment(function, url),
                input=json.dumps(event),
                timeout=int(function.timeout),
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _failure(f"Task timed out after {function.timeout} seconds"), True, ""
        log = process.stdout + process.stderr
        if process.returncode:
            return _failure(log.strip().rpartition("\n")[2]), True, log
        return answer.read_text(), False, log


def _failure(message: str) -> str:
    return json.dumps({"errorMessage": message})


def _environment(function: LambdaFunction, url: str) -> dict[str, str]:
    return {
        # Tells Lake Formation which role calls: patches.guard.
        "AWS_ACCESS_KEY_ID": f"{ROLE_KEY}{str(function.role).rpartition('/')[2]}",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ENDPOINT_URL": url,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        **function.environment_vars,
    }
