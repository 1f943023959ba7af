"""Settings and recipes: error messages of invalid files."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sashiko.base.yaml_models import parse_override, set_in_section, validate
from sashiko.base.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko.settings.environment_sections import ProcessingJob, TrainingJob
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_data import DataSection
from sashiko.settings.recipe_train import TrainSection
from tests.unit.hostile import bounded

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


def test_an_unknown_key_and_a_bad_unit_say_what_is_allowed():
    text = error_of(lambda: validate(TrainSection, {"epoch": 1}, source="recipes/x.yaml"))
    assert "recipes/x.yaml" in text
    assert "`epoch`" in text
    assert "epochs" in text

    job = {"instance_type": "ml.m5.large", "volume_size": "30", "max_runtime": "90"}
    text = error_of(lambda: validate(ProcessingJob, job, source="config/dev.yaml"))
    assert "`volume_size`: expected a size in GB, such as 30GB (got '30')" in text
    assert "30m, 2h" in text


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


# Two billion values in half a kilobyte.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)

MERGED = "a: &a {k: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(("text", "message"), [
    ("train: {epochs: 1}\ntrain: {epochs: 2}", "line 2, column 1: duplicate key `train`"),
    ("a: {b: 1, 'b': 2}", "column 11: duplicate key `b`"),
    ("[" * 900, "column 41: nested deeper than 40 levels"),
    ("[" * 100_000, "exceeded maximum nesting depth"),
    ("{a: " * 5000, "nested deeper"),
    (BOMB, "more than 50,000 values"),
    (MERGED, "more than 50,000 values"),
    ("a: &a [*a]", r"`\*a` contains itself"),
    ("a: *b", "undefined alias"),
    ("a: 2021-13-45", "line 1, column 4: `2021-13-45` is not a valid timestamp"),
    ("a: 2021-01-01T00:00:00+99:00", "is not a valid timestamp"),
    ("a: " + "1" * 5000, r"`1+ \.\.\. 1+` is not a valid int"),
    ("a: 0x" + "f" * 100, "a number beyond 64 bits"),
    ("a: !!bool x", "`x` is not a valid bool"),
    ("a: " + "1:" * 200 + "0.5", "is not a valid float"),
    ("a: .nan", "`.nan` is not a finite number"),
    ('a: "\\ud800"', "invalid Unicode character escape"),
    ("a: \ud800", "half of a surrogate pair"),
    ('extends: "x\\0.yaml"', "a text with a NUL"),
    ("a: \0", "#x0000"),
    ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ("a: 1\n---\nb: 2", "expected a single document"),
    ("? [a]\n: 1", "unhashable key"),
])  # fmt: skip
def test_what_is_no_plain_value_is_refused_with_its_place(text, message) -> None:
    with pytest.raises(YamlError, match=message) as error:
        parse_yaml(text)
    assert len(str(error.value)) < 1000


def test_anchors_that_end_are_followed() -> None:
    text = "a: &a {x: 1}\nb: {<<: *a, x: 2, y: *a}\nc: [*a, *a]"
    assert parse_yaml(text) == yaml.safe_load(text)


_LETTERS = st.text(alphabet="ab0_:-.&*<>[]{}!%|'\"\\\n \t#,?0xeE+", max_size=60)


@bounded
@given(text=_LETTERS | st.text(max_size=60))
def test_any_text_is_read_as_yaml_reads_it_or_refused(text) -> None:
    try:
        value = parse_yaml(text)
    except YamlError as error:
        assert str(error)
        return
    assert repr(value) == repr(yaml.load(text, yaml.CSafeLoader))


ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/acme-dev-loans/3"
VALUES = {"enabled": "true", "arn": ARN}


@pytest.mark.parametrize(("before", "after"), [
    ("a: 1\n", "a: 1\nserving: {enabled: true, arn: ARN}\n"),
    ("a: 1", "a: 1\nserving: {enabled: true, arn: ARN}\n"),
    ("a: 1\r\n", "a: 1\r\nserving: {enabled: true, arn: ARN}\r\n"),
    ("serving: {}  # c\n", "serving: {enabled: true, arn: ARN}  # c\n"),
    ("serving: {n:  2}  # c\n", "serving: {n:  2, enabled: true, arn: ARN}  # c\n"),
    ("serving: {n: 2,}\n", "serving: {n: 2, enabled: true, arn: ARN,}\n"),
    ("{a: 1, serving: {n: 2}}", "{a: 1, serving: {n: 2, enabled: true, arn: ARN}}"),
    ("serving: {enabled: no, arn: null}\nb: 'x'\n", "serving: {enabled: true, arn: ARN}\nb: 'x'\n"),
    ("serving:\n  # why\n  n: 2 # two\n\n  m:   4\nb: [a,  c]\n",
     "serving:\n  # why\n  enabled: true\n  arn: ARN\n" "  n: 2 # two\n\n  m:   4\nb: [a,  c]\n"),
    ("serving:\r\n    enabled: false\r\n    arn:   # none yet\r\n",
     "serving:\r\n    enabled: true\r\n    arn: ARN   # none yet\r\n"),
    ('\ufeff# a mark\nserving: {enabled: true, arn: "old"}\n',
     "\ufeff# a mark\nserving: {enabled: true, arn: ARN}\n"),
    ("x: &m {n: 1}\nserving:\n  <<: *m\n  k: 2\n",
     "x: &m {n: 1}\nserving:\n  enabled: true\n  arn: ARN\n  <<: *m\n  k: 2\n"),
])  # fmt: skip
def test_only_the_values_change(before: str, after: str) -> None:
    assert set_in_section(before, "serving", VALUES) == after.replace("ARN", ARN)


@pytest.mark.parametrize("text", [
    "x: &s {enabled: false}\nserving: *s\n",  # the change would be one of `x` too
    "serving: {enabled: &e false}\nx: *e\n",  # `x` would lose its value
    "x: &e false\nserving: {enabled: *e}\n",
    "serving:\nx: 1\n",
    "serving: [1]\n",
    "- 1\n",
    "",
    "a: [\n",
    "{a: 1}\n",
    "a: 1\n...\n",
])  # fmt: skip
def test_what_cannot_change_alone_is_refused(text: str) -> None:
    with pytest.raises(YamlError):
        set_in_section(text, "serving", VALUES)


def test_the_projects_own_files_keep_every_line() -> None:
    """Each shipped environment, with the settings that the endpoint has in it."""
    from sashiko.settings.environment import deployed_environments

    for name in deployed_environments():
        before = Path(f"config/{name}.yaml").read_text("utf-8")
        after = set_in_section(before, "serving", VALUES)
        assert parse_yaml(after)["serving"]["arn"] == ARN
        changed = set(before.splitlines()) - set(after.splitlines())
        assert len(changed) <= 1
        assert all(line.startswith("serving:") for line in changed)
