"""What the shipped environments cost unused: a change that raises it by much is to be noticed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sashiko.account.prices import read_prices
from sashiko.account.templates import read_templates
from sashiko.cli import app
from sashiko_packs.operations.commands.cost import Costs, text
from sashiko_packs.operations.idle_cost import idle_cost, lines
from tests.infra.variants import PACKS, ROOT, assembly_of, settings_of, synthesized, write_config
from tests.packs.operations.golden import FOLDER
from tests.project_root import IMAGES


@pytest.mark.parametrize("variant", ["dev", "prod", "serving", "serving_prod"])
def test_a_change_raises_the_idle_cost_by_no_more_than_is_allowed(variant: str) -> None:
    settings = settings_of(variant)
    templates = read_templates(settings, folder=synthesized(variant))
    golden = json.loads((FOLDER / f"idle_cost.{variant}.json").read_text())

    now, before = lines(idle_cost(templates, read_prices(settings))), golden["idle"]["lines"]
    rise = sum(usd or 0 for usd in now.values()) - sum(before.values())
    added = sorted(now.keys() - before.keys())
    assert rise <= 5, f"{added}: if that is intended, run `make golden` and say why"


@pytest.mark.parametrize(("variant", "notes"), [("existing", 0), ("shared", 1)])
def test_only_endpoints_of_ours_are_counted_and_theirs_are_named(variant: str, notes: int) -> None:
    settings = settings_of(variant)
    prices = read_prices(settings)
    cost = idle_cost(assembly_of(variant), prices)
    counted = [name for name in lines(cost) if "VPC endpoint" in name]
    assert (len(counted) > 0) == (variant == "existing")
    assert all("VpcAccess: VPC endpoint" in name and "2 zones" in name for name in counted)
    shown = "\n".join(text(Costs(settings=settings, prices=prices, idle=cost, others=())))
    assert shown.count("the endpoints that vpc-0123456789abcdef0 has") == notes


def cost(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Any:
    """The command in a fork's folder, on the templates of `dev`."""
    (folder / "config").mkdir(exist_ok=True)
    write_config(folder / "config", "dev")
    for name in ("contracts", "pipelines", "recipes", *IMAGES):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT}/src")
    templates = str(synthesized("dev"))
    return CliRunner().invoke(app, ["cost", "--env", "dev", "--templates", templates, *options])


def test_the_command_tells_idle_run_and_predictions_and_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = cost(tmp_path, monkeypatch, "--load", "2")
    assert process.exit_code == 0
    assert "sashiko-dev-Network: VPC endpoint athena, 1 zone" in process.stdout
    assert "Train: 1 x ml.g5.xlarge" in process.stdout
    assert "at 2 a second all month" in process.stdout
    assert "inf2: 1 x ml.inf2.xlarge    137.50" in process.stdout
    assert "prices are older than 180 days" in process.stderr

    costs = json.loads(cost(tmp_path, monkeypatch, "--json").stdout)
    assert costs["idle"]["monthly"] == pytest.approx(sum(costs["idle"]["lines"].values()))
    assert costs["run"]["typical"] < costs["run"]["at_most"]
    modes = costs["modes"]
    assert (modes["real-time"]["idle"], modes["asynchronous"]["idle"]) == (148.92, 0.0)
    assert modes["asynchronous"]["per_million"] > modes["real-time"]["per_million"] > 0
    less = f"less below {modes['asynchronous_costs_less_below_requests_a_month']:,} requests"
    assert less in process.stdout
    if "monitoring" in PACKS:
        windows = sum(job["at_most"] for job in costs["monitoring"]["jobs"].values())
        assert costs["monitoring"]["month_at_most"] == pytest.approx(5 * windows, abs=0.02)
        assert "at most in a month: 5 of them, " in process.stdout
        assert "JoinLabels: 1 x ml.m5.large" in process.stdout


def test_an_idle_cost_above_the_budget_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"usd": 100, "source": "a bill", "read": "2026-11-01"}
    prices = {"region": "us-east-1", "prices": {"kms_key_month": own}}
    (tmp_path / "own.yaml").write_text(json.dumps(prices))
    process = cost(tmp_path, monkeypatch, "--prices", "own.yaml")
    assert "more than `budget.amount` in config/ (200)" in process.stderr
