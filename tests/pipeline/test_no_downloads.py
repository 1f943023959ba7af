"""No job downloads from the internet: nothing in a definition lets it, and nothing asks for it.

That no step's code reaches the code that downloads is import-linter's to hold (pyproject.toml).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests/golden").glob("*.definition*.json"))
IN_AN_ACCOUNT = [path for path in GOLDEN if path.name.endswith(".dev.json")]
STAGED = re.compile(
    r"s3://[a-z0-9-]+-artifacts-\d{12}-[a-z0-9-]+/(?:code|config|source|weights)/[0-9a-f]{16}"
)
OUTPUT_URI = re.compile(
    r"s3://[a-z0-9-]+-(?:artifacts-\d{12}-[a-z0-9-]+/(?:checkpoints|models|runs)"
    r"|snapshots-\d{12}-[a-z0-9-]+/(?:facets|training|weights))\b"
)
COMMANDS = re.compile(
    r"python3 (?:-m sashiko(?:_packs)?\.(?:[a-z_]+\.)?steps\.[a-z_]+"
    r"|/opt/ml/processing/input/code/[a-z_]+\.py)"
)
# The others have no network at all.
CALL_AWS = {"DeviceCheck", "Register", "ResolveChampion", "Snapshot", "SnapshotFacets", "Track"}
# What would name another source of code, weights or packages.
OUTSIDE = re.compile(
    r"https?://|ftp://|\bpip\b|HF_HUB|HF_ENDPOINT|INDEX_URL|git\+|huggingface", re.I
)


def _jobs(path: Path) -> list[dict[str, Any]]:
    steps = _steps(json.loads(path.read_text())["Steps"])
    return [step for step in steps if step["Type"] in ("Processing", "Training")]


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from _steps(step.get("Arguments", {}).get(branch, []))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_job_reads_what_is_staged_or_what_a_step_wrote(path: Path) -> None:
    for job in _jobs(path):
        uris = [text for text in _texts(job["Arguments"]) if text.startswith("s3://")]
        others = [uri for uri in uris if not (STAGED.fullmatch(uri) or OUTPUT_URI.match(uri))]
        assert others == [], job["Name"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_job_runs_our_code_and_names_no_other_source(path: Path) -> None:
    for job in _jobs(path):
        command = job["Arguments"].get("AppSpecification", {}).get("ContainerEntrypoint")
        if command is not None:  # else the image's own: images/*/Dockerfile
            assert COMMANDS.fullmatch(" ".join(command)), job["Name"]
        assert [text for text in _texts(job["Arguments"]) if OUTSIDE.search(text)] == []


@pytest.mark.parametrize("path", IN_AN_ACCOUNT, ids=lambda path: path.name)
def test_a_job_in_an_account_has_no_way_to_the_internet(path: Path) -> None:
    for job in _jobs(path):
        arguments = job["Arguments"]
        network = arguments.get("NetworkConfig", arguments)
        # The VPC has no gateway: tests/infra/test_network.py.
        assert network["VpcConfig"]["Subnets"], job["Name"]
        assert network["VpcConfig"]["SecurityGroupIds"], job["Name"]
        isolated = job["Name"] not in CALL_AWS
        assert network["EnableNetworkIsolation"] is isolated, job["Name"]


def test_an_account_has_a_definition_to_look_at() -> None:
    assert IN_AN_ACCOUNT
