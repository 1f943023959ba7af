"""Plug-ins of a project: resolution by reference or entry point, and errors with the fix."""

import re
from pathlib import Path

import pytest

from sashiko.base.plugin_names import names, reference
from sashiko.base.plugins import code_digest, load
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.project import check_recipe
from sashiko.settings.recipe import load_recipe
from sashiko.settings.serving import ServingBound
from tests.project_root import REPOSITORY
from tests.unit import acme


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return acme.make(tmp_path / "src", monkeypatch)


@pytest.fixture
def installed(tmp_path: Path) -> None:
    metadata = tmp_path / "src" / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sashiko.metrics]\ncost = acme.metrics:Cost\n")


def test_a_class_is_made_and_an_entry_point_is_loaded_by_its_name(installed: None) -> None:
    assert load("metrics", "acme.metrics:Top", key="k").higher_is_better
    assert not load("metrics", "cost", key="k").higher_is_better
    assert names("metrics") == ["cost"]
    assert reference("metrics", "cost") == "acme.metrics:Cost"


@pytest.mark.parametrize(("group", "name", "message"), [
    ("metrics", "costs", "no `costs` among sashiko.metrics; allowed: cost, or an object"),
    ("generators", "other", "no `other` among sashiko.generators; allowed: complaints, "),
    ("metrics", "acme.nothing:Cost", "acme.nothing:Cost cannot be imported (No module named"),
    ("metrics", "acme.metrics:Nothing", "has no attribute 'Nothing'"),
    ("metrics", "acme.metrics:no_metric",
     "has no higher_is_better, which sashiko.evaluation.metrics"),
    ("generators", "acme.metrics:Cost", "has no batches and no schema, which sashiko.data"),
    ("sources", "acme.invoices:Invoices", "has no fetch"),
])  # fmt: skip
def test_what_does_not_do_is_refused_with_key_and_fix(installed, group, name, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load(group, name, key="the.key")
    assert str(error.value).startswith("key `the.key`: ")


def test_the_digest_of_its_code_is_that_of_its_whole_package(package: Path) -> None:
    name = "acme.invoices:Invoices"
    before = code_digest("generators", name)
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.pyc").write_bytes(b"")
    assert code_digest("generators", name) == before
    (package / "words.txt").write_text("new")
    assert code_digest("generators", name) != before


def _recipe(*overrides: str):
    path = REPOSITORY / "recipes" / "complaints.yaml"
    recipe = load_recipe(path, overrides=overrides)
    check_recipe(recipe, load_contract(REPOSITORY / recipe.contract), source=path)
    return recipe


def test_a_recipe_names_the_projects_own_and_a_wrong_name_is_refused_before_a_run() -> None:
    generator = "data.sources=[{kind: generator, generator: %s, rows: 9}]"
    gates = "quality.gates=[{metric: %s, maximum: 1, reason: why}]"
    share = "model.sources=[{kind: own, source: %s, member: encoders, options: {root: /mnt}}]"
    recipe = _recipe(
        generator % "acme.invoices:Invoices",
        gates % "acme.metrics:Cost",
        share % "acme.share:Share",
    )
    assert recipe.quality.own_metrics == ("acme.metrics:Cost",)
    for override, key in (
        (generator % "acme.invoice:Invoices", "data.sources.0.generator"),
        (gates % "acme.metrics:Costs", "quality.gates.0.metric"),
        (gates % "acuracy", "quality.gates.0.metric"),
        (share % "acme.share:Sharing", "model.sources.0.source"),
    ):
        with pytest.raises(InputError, match=re.escape(f"key `{key}`: ")) as caught:
            _recipe(override)
        assert "complaints.yaml" in str(caught.value) or "--set" in str(caught.value)


def test_an_environment_may_bound_the_projects_metric() -> None:
    bound = ServingBound(metric="acme.metrics:Cost", maximum=1)
    assert str(bound) == "acme.metrics:Cost"
    with pytest.raises(ValueError, match="no `acuracy` among"):
        ServingBound(metric="acuracy", maximum=1)
