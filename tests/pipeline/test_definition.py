"""The definition: kept as a golden file, so that a changed pipeline is seen in review."""

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

from sashiko.packs import enabled_packs
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.graph import build_graph, job_objects, longest_path
from sashiko.pipeline.definition.unchain import unchain
from tests.golden.rewrite import (
    REPOSITORY,
    ROOT,
    golden_definition,
    samples,
    schemas,
    without_packs,
)


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.name)
def test_json_schemas_are_current(path):
    names = [pack.name for pack in enabled_packs(folder=REPOSITORY / "config")]
    golden = without_packs(json.loads(path.read_text()), names)
    assert golden == without_packs(json.loads(schemas()[path]), names), (
        "run `make golden` and look at the diff"
    )


@pytest.mark.parametrize("kind", ["recipe", "settings"])
def test_an_editor_finds_no_fault_in_the_shipped_files(kind):
    schema = json.loads((ROOT / f"schemas/{kind}.schema.json").read_text())
    folder = {"recipe": "recipes", "settings": "config"}[kind]
    files = sorted((REPOSITORY / folder).glob("*.yaml"))
    assert files
    for file in files:
        jsonschema.validate(yaml.safe_load(file.read_text()), schema)


@pytest.mark.parametrize("copy", samples(), ids=lambda path: path.name)
def test_the_copies_of_the_samples_are_current(copy):
    """Of those that are there: a fork may have deleted them."""
    written, sample = (yaml.safe_load(text) for text in (copy.read_bytes(), samples()[copy]))
    assert written == sample, "run `make golden` and look at the diff"


@pytest.mark.parametrize("name", ["complaints.definition.json", "complaints.definition.dev.json"])
def test_the_definition_is_the_golden_one(name, compiled):
    golden = (ROOT / "tests/golden" / name).read_bytes()
    content = golden_definition(name, compiled[name].encode())
    assert json.loads(golden) == json.loads(content), "run `make golden`"
    assert golden == content


# Beside the check of the rows, or before it: they train, register and publish nothing.
BEFORE = {"Snapshot", "SnapshotFacets", "Validate", "ValidateFacets", "Prepare", "Weights"}


def test_each_step_after_a_gate_depends_on_it():
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    behind: dict[str, set[str]] = {}
    for step in parse_definition(golden).steps:
        for name in step.depends_on:
            behind.setdefault(name, set()).add(step.name)
    steps = {step["Name"]: step["Type"] for step in golden["Steps"]}
    gates = {name for name, kind in steps.items() if kind == "Lambda"}
    assert gates == {"DataGate", "ModelGate", "DeviceGate"}
    # Beside what a step reads: a gate ends the run, which Track logs in any case.
    assert set(behind) == gates | {"Explain"}
    assert behind["Explain"] == {"ModelGate"}
    assert behind["ModelGate"] == {"DeviceGate"}
    assert behind["DeviceGate"] == {"Register"}
    assert behind["DataGate"] == set(steps) - BEFORE - {"DataGate", "DeviceGate", "Register"}
    assert set(steps.values()) == {"Processing", "Training", "Lambda"}


BIAS = "PreBias-BiasInput-PostBias-JudgeBias"
START = ("Snapshot", "Validate", "Train")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("dev, complaints", (*START, "Compile-Score-Evaluate", BIAS, "Register")),
        ("inf2", (*START, "Compile", "Score-Evaluate", BIAS, "Register")),
        ("several instances", (*START, "Compile", "Score", "Evaluate", BIAS, "Register")),
        (
            "clarify",
            (*START, "Compile-Score-Evaluate", "BiasInput", "PostBias", "JudgeBias", "Register"),
        ),
        ("bias not judged", (*START, "Compile-Score-Evaluate", "DeviceCheck", "Register")),
    ],
)
def test_a_run_waits_for_as_few_machines_as_its_definition_allows(compiled, name, path):
    definition = parse_definition(compiled[name])
    longest = longest_path(definition)
    assert len(longest) == len(path)
    graph, (*_, last) = build_graph(definition), path
    # Of several longest paths one is named: this one is as real.
    assert all(step in graph.downstream(before) for before, step in pairwise(path))
    assert longest[-1] == last


def test_a_run_tracks_what_a_gate_blocks_and_waits_for_nothing_that_tracks(compiled):
    graph = build_graph(parse_definition(compiled["dev, complaints"]))
    assert graph.downstream("Track") == {"Track"}
    assert set(graph.waits_for["Track"]) <= upstream(graph, "ModelGate")
    assert {"DataGate", "ModelGate", "DeviceGate", "DeviceCheck", BIAS} < upstream(
        graph, "Register"
    )
    assert "DataGate" in graph.waits_for["Train"]


def upstream(graph, name):
    return {other for other in graph.order if name in graph.downstream(other)}


def test_facets_are_read_where_no_training_row_is_written(compiled):
    readers, writers = set(), set()
    for job in job_objects(unchain(parse_definition(compiled["dev, complaints"]))):
        readers |= {job.step} if any("/facets/" in uri for uri in job.reads) else set()
        writers |= {job.step} if any("/Prepare/" in uri for uri in job.writes) else set()
        if job.step in readers:
            assert job.role.endswith("-bias-evaluator"), job.step
    assert readers == {
        "ValidateFacets", "Weights", "PreBias", "BiasInput", "PostBias", "JudgeBias",
    }  # fmt: skip
    assert writers == {"Prepare"}


def test_where_bias_is_not_judged_no_step_reads_a_facet(compiled):
    built = compiled["bias not judged"]
    steps = {step.name: step for step in unchain(parse_definition(built)).steps}
    assert set(steps) == {
        "Snapshot", "Validate", "DataGate", "Prepare", "Train", "Compile", "ResolveChampion",
        "Score", "Evaluate", "Explain", "Track", "ModelGate", "DeviceCheck", "DeviceGate",
        "Register",
    }  # fmt: skip
    text = json.dumps(built)
    assert text.count("--bias-not-judged=none are known") == 2  # Track and Register
    for word in ('"weights"', '"intervals"', "bias-verdict", "facets-verdict", "bias-evaluator"):
        assert word not in text


def test_clarifys_image_gets_no_whole_numbers_which_it_may_take_for_classes(compiled):
    refusal = compiled["clarify, whole numbers"]
    assert "Clarify may take the whole numbers of label `days_left` for classes" in refusal
    assert refusal.startswith("error: ")
    assert '"PreBias"' in compiled["clarify, numbers"]


def test_the_linear_baseline_reads_the_weights_that_training_reads():
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    steps = {step.name: step for step in unchain(parse_definition(golden)).steps}
    channels = {
        item["ChannelName"]: item["DataSource"]["S3DataSource"]["S3Uri"]
        for item in steps["Train"].arguments["InputDataConfig"]
    }
    inputs = {
        item["InputName"]: item["S3Input"]["S3Uri"]
        for item in steps["Evaluate"].arguments["ProcessingInputs"]
    }
    assert inputs["weights"] == channels["weights"]
    assert inputs["train"] == channels["train"]


def test_only_the_generator_names_a_shipped_data_set():
    # Upstream's: a fork may name its own as it likes, after a word that stands in the code too.
    shipped = ("census", "complaints", "tickets")
    generators = ROOT / "src/sashiko/data/generators"
    assert all((generators / f"{name}.py").is_file() for name in shipped[1:])
    code = [*(ROOT / "src").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in code
        if "generators" not in path.parts
        for name in shipped
        if name in path.read_text()
    ]
    assert offenders == []


def test_no_generated_file_holds_a_path_of_the_machine_that_wrote_it():
    generated = [*schemas(), *(ROOT / "tests/golden").glob("*.*"), *(ROOT / "docs").glob("*.md")]
    for path in generated:
        assert not [place for place in (str(ROOT), str(Path.home())) if place in path.read_text()]
