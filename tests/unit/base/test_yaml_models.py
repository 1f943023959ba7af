"""Settings and recipes: error messages of invalid files."""

from pathlib import Path

import pytest

from sashiko.base.yaml_models import parse_override, validate
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko.settings.environment_sections import ProcessingJob, TrainingJob
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_data import DataSection
from sashiko.settings.recipe_train import TrainSection

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "recipes").glob("*.yaml"))


def error_of(call) -> str:
    with pytest.raises(InputError) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_named_after_its_file(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert (ROOT / recipe.contract).is_file()


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_every_shipped_environment_is_valid(environment):
    assert load_settings(environment, folder=ROOT / "config").environment == environment


def test_an_unknown_key_names_file_key_and_the_allowed_ones():
    text = error_of(lambda: validate(TrainSection, {"epoch": 1}, source="recipes/x.yaml"))
    assert "recipes/x.yaml" in text
    assert "`epoch`" in text
    assert "epochs" in text


def test_an_error_names_the_one_of_the_merged_files_that_it_stands_in(tmp_path):
    (tmp_path / "below.yaml").write_text("train: {epoch: 1}\ndata: {train_rows: 0}\n")
    (tmp_path / "top.yaml").write_text("extends: below.yaml\ndata: {train_rows: -1}\n")
    lines = error_of(
        lambda: load_recipe(tmp_path / "top.yaml", overrides=("text.template=1",))
    ).splitlines()

    def source_of(key: str) -> str:
        return next(line for line in lines if f"`{key}`" in line).split(":")[0]

    assert source_of("train.epoch") == str(tmp_path / "below.yaml")
    assert source_of("data.train_rows") == str(tmp_path / "top.yaml")
    assert source_of("text.template") == "--set text.template=1"
    assert (
        source_of("model")
        == f"{tmp_path / 'below.yaml'} + {tmp_path / 'top.yaml'} + --set text.template=1"
    )


def test_a_wrong_key_of_a_source_is_one_error_with_the_keys_of_its_kind(tmp_path):
    text = error_of(
        lambda: validate(
            DataSection, {"sources": [{"kind": "file", "path": "a", "row": 1}]}, source="r.yaml"
        )
    )
    assert text == "r.yaml: unknown key `sources.0.row`; allowed: kind, path"


def test_a_bad_unit_says_which_units_there_are():
    job = {"instance_type": "ml.m5.large", "volume_size": "30", "max_runtime": "90"}
    text = error_of(lambda: validate(ProcessingJob, job, source="config/dev.yaml"))
    assert "`volume_size`: expected a size in GB, such as 30GB (got '30')" in text
    assert "30m, 2h" in text


@pytest.mark.parametrize(("kind", "known", "unknown"), [
    (ProcessingJob, "ml.m5.large", "ml.inf2.xlarge"),
    (ProcessingJob, "ml.p5.4xlarge", "ml.trn1.2xlarge"),
    (ProcessingJob, "ml.c5.xlarge", "ml.c5n.xlarge"),
    (TrainingJob, "ml.trn1.2xlarge", "ml.inf2.xlarge"),
    (TrainingJob, "ml.g5.xlarge", "ml.g5.xxlarge"),
])  # fmt: skip
def test_an_instance_type_that_the_job_type_lacks_is_refused(kind, known, unknown):
    job = {"instance_type": known, "volume_size": "30GB", "max_runtime": "1h"}
    if kind is TrainingJob:
        job |= {"spot": None, "training_plan": None}
    assert validate(kind, job, source="config/dev.yaml").instance_type == known
    job["instance_type"] = unknown
    text = error_of(lambda: validate(kind, job, source="config/dev.yaml"))
    assert "config/dev.yaml: key `instance_type`" in text
    family = unknown.rsplit(".", 1)[0]
    assert f"{family}." in text.split("allowed:")[1] or "ml.m5.large" in text


def test_a_gate_on_injections_needs_rows_to_measure_it_on():
    gate = "quality.gates=[{metric: injection_flip_rate, maximum: 0.1, reason: none decides}]"
    text = error_of(lambda: load_recipe(SHIPPED[0], overrides=(gate,)))
    assert "set `evaluate.injections`, for example to 200 rows" in text
    assert load_recipe(SHIPPED[0], overrides=(gate, "evaluate.injections=200")).quality.gates
    text = error_of(lambda: load_recipe(SHIPPED[0], overrides=("evaluate.injections=201",)))
    assert "evaluate.injections" in text


def test_an_image_that_a_digest_is_given_for_must_be_known(tmp_path):
    for file in (ROOT / "config").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    with (tmp_path / "dev.yaml").open("a") as file:
        file.write(f'image_digests: {{gpu: "sha256:{"a" * 64}"}}\n')
    text = error_of(lambda: load_settings("dev", folder=tmp_path))
    assert "dev.yaml" in text
    assert "`image_digests" in text
    assert "job-cpu" in text


def test_an_unknown_environment_lists_the_known_ones():
    text = error_of(lambda: load_settings("moon", folder=ROOT / "config"))
    assert "config/moon.yaml" in text
    assert "dev.yaml, local.yaml, prod.yaml" in text


def test_an_override_changes_one_key_and_keeps_its_neighbours():
    recipe = load_recipe(SHIPPED[0], overrides=("train.epochs=7",))
    assert recipe.train.epochs == 7
    assert recipe.train.batch_size == load_recipe(SHIPPED[0]).train.batch_size


@pytest.mark.parametrize("override", ["train.epochs", "=1", "a..b=1", "a=[1"])
def test_a_malformed_override_is_named(override):
    assert override in error_of(lambda: parse_override(override))


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    assert "`extends` is circular" in error_of(lambda: load_recipe(tmp_path / "a.yaml"))


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "expected a mapping"),
    (b"- 1\n", "expected a mapping"),
    (b"a: [1\n", "not valid YAML"),
    (b"name: caf\xe9\n", "UTF-8"),
])  # fmt: skip
def test_a_file_that_is_no_yaml_mapping_is_named(tmp_path, content, expected):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    text = error_of(lambda: load_recipe(path))
    assert str(path) in text
    assert expected in text


def test_a_downloaded_data_set_must_be_pinned(tmp_path):
    text = Path("recipes/census.yaml").read_text()
    lines = [line for line in text.splitlines() if "sha256:" not in line]
    (tmp_path / "models").mkdir()
    for model in (ROOT / "recipes/models").glob("*.yaml"):
        (tmp_path / "models" / model.name).write_text(model.read_text())
    (tmp_path / "r.yaml").write_text("\n".join(lines))
    assert "sha256 is required" in error_of(lambda: load_recipe(tmp_path / "r.yaml"))
