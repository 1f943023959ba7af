"""Whether the CDK command line and library agree: aws-cdk #35746."""

import json
from pathlib import Path

import pytest

from sashiko.doctor.check_result import Check
from sashiko.doctor.services import check_tools

OUT = "cdk.out"


def write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def checks(
    root: Path, *, installed: str | None = "2.1148.1", least: str = "2.1148.0"
) -> list[Check]:
    write(root / "package.json", {"devDependencies": {"aws-cdk": "2.1148.1"}})
    write(root / OUT / "manifest.json", {"version": "55.0.0", "minimumCliVersion": least})
    if installed:
        write(root / "node_modules/aws-cdk/package.json", {"version": installed})
    return list(check_tools(root / OUT, root=root))


@pytest.mark.parametrize("least", ["2.1148.1", "2.999.0"])
def test_an_installed_command_line_that_reads_the_templates_is_well(
    tmp_path: Path, least: str
) -> None:
    results = checks(tmp_path, least=least)
    assert [check.status for check in results] == ["ok", "ok"]
    assert "cloud assembly 55.0.0" in results[1].detail


@pytest.mark.parametrize(
    ("installed", "detail"),
    [(None, "node_modules/aws-cdk/package.json does not exist"), ("3.0.0", "3.0.0 is installed")],
)
def test_another_command_line_than_the_pinned_one_fails(
    tmp_path: Path, installed: str | None, detail: str
) -> None:
    (result,) = checks(tmp_path, installed=installed)
    assert (result.status, result.fix) == ("failed", "npm ci")
    assert detail in result.detail


def test_a_library_that_is_too_new_for_the_command_line_fails(tmp_path: Path) -> None:
    results = checks(tmp_path, least="2.1200.0")[-1]
    assert results.status == "failed"
    assert results.fix == "npm install --save-dev --save-exact aws-cdk@2.1200.0"
