import re

import pytest
import yaml

from sashiko.pipeline.runner.run_record import read_run
from sashiko.run_report.page import write_report
from sashiko.settings.recipe import load_recipe
from sashiko_packs.selection.sweep import write_sweep
from tests.packs.selection.sweep.sweeps import recipe, sweep
from tests.unit.run_report import runs

SHOWN = "Balanced accuracy against DI age=old, sweep "


@pytest.fixture
def run(tmp_path):
    """A run whose Prepare wrote a validation split, of the recipe that is swept."""
    started = runs.started(tmp_path)
    started.output("Prepare", "validation").joinpath("data.parquet").write_bytes(b"rows")
    runs.prepared(started)
    runs.judged(started)
    folder = started.write("blocked")
    path = folder / "evidence/recipe.yaml"
    path.write_text(yaml.safe_dump(recipe().model_dump(mode="json")))
    return folder


def swept(run, **changes):
    """Writes a sweep of the run's recipe and data into its home, but for the changes."""
    record = read_run(run)
    inputs = {
        "validation": record.step("Prepare").outputs["validation"].sha256,
        "facets": record.step("SnapshotFacets").outputs["data"].sha256,
    }
    result = sweep(load_recipe(run / "evidence/recipe.yaml"))
    result = result.model_copy(update={"inputs": inputs} | changes)
    write_sweep(result, run.parents[1])
    return result


def other(**changes):
    return recipe(**changes)


def test_the_newest_sweep_of_the_same_recipe_and_data_is_shown(run):
    swept(run, id="20260101-000000-aaaa")
    newest = swept(run, id="20260103-000000-aaaa")
    html = write_report(run, run.parents[1]).read_text()
    assert re.findall(f"{SHOWN}([^<]*)", html) == [newest.id]


def test_strength_and_threshold_may_differ_as_they_are_what_is_swept(run):
    changed = {"reweighing": {"facets": ["age"], "strength": 2.0},
               "evaluate": {"threshold": {"policy": "fixed", "value": 0.4},
                            "bootstrap_replicates": 100}}  # fmt: skip
    (run / "evidence/recipe.yaml").write_text(
        yaml.safe_dump(recipe(**changed).model_dump(mode="json"))
    )
    record_recipe = recipe()
    result = swept(run, recipe=record_recipe)
    assert SHOWN + result.id in write_report(run, run.parents[1]).read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": other(train={"seed": 9})},
        {"inputs": {"validation": runs.DIGEST, "facets": runs.DIGEST}},
    ],
    ids=["another seed", "other rows"],
)
def test_a_sweep_of_something_else_is_not_shown(run, changes):
    swept(run, **changes)
    assert SHOWN not in write_report(run, run.parents[1]).read_text()


def test_another_versions_sweep_does_not_break_a_report(run):
    folder = run.parents[1] / "sweeps/20260101-000000-aaaa"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text('{"id": 1}')
    assert write_report(run, run.parents[1]).is_file()


def test_a_run_of_a_sweep_is_not_reported_as_registered(tmp_path):
    started = runs.started(tmp_path)
    runs.prepared(started)
    folder = started.write("partial", until="Compile")
    html = write_report(folder, started.home).read_text()
    assert "PART OF A SWEEP" in html
    assert "nothing was registered" in html
    assert "REGISTERED" not in html
