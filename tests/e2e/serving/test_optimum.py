"""How Compile calls optimum-neuron 0.4.1: by modules of its names, which record the call."""

import types

import export_neuron
import pytest
import torch
from bundle import Bucket
from classifier import CompileError

from tests.e2e.serving.neuron_image import install_modules

BUCKET = Bucket(4, 16, "model_b4_l16.neuron")
INPUTS = ["input_ids", "attention_mask"]


class Optimum:
    """The parts of it that are called."""

    def __init__(self) -> None:
        self.calls: list[dict] = []  # what `export` was called with
        self.targets: list[tuple[str, bool]] = []  # what the compilation was aligned with
        self.fails: Exception | None = None  # what `export` raises

    def align(self, target, override):
        self.targets.append((target, override))

    def constructor(self, *, exporter, model, task, library_name):
        assert (exporter, task, library_name) == ("neuron", "text-classification", "transformers")
        if model.config == "unknown":
            raise KeyError("oddbert is not supported yet")
        return lambda config, **shape: shape

    def export(self, **given):
        assert self.targets, "neuronx-distributed is imported before the target is set"
        assert given["compiler_workdir"].is_dir()
        self.calls.append(given)
        if self.fails:
            raise self.fails
        return INPUTS, ["logits"]


@pytest.fixture
def optimum(monkeypatch):
    made = Optimum()
    contents = {
        "optimum": {},
        "optimum.neuron": {},
        "optimum.neuron.utils": {"InputShapesArguments": dict},
        "optimum.neuron.utils.instance": {"align_compilation_target": made.align},
        "optimum.exporters": {},
        "optimum.exporters.neuron": {"export": made.export},
        "optimum.exporters.neuron.model_configs": {},
        "optimum.exporters.tasks": {
            "TasksManager": types.SimpleNamespace(get_exporter_config_constructor=made.constructor)
        },
    }
    install_modules(monkeypatch, contents)
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "")
    return made


def classifier(config="bert"):
    made = torch.nn.Linear(1, 1)
    made.config = config
    return made


@pytest.mark.parametrize(("auto_cast", "given"), [("none", None), ("matmul", "matmul")])
def test_a_graph_is_compiled_for_inf2_in_one_fixed_shape(optimum, tmp_path, auto_cast, given):
    path = tmp_path / BUCKET.graph
    inputs = export_neuron.compile_graph(classifier(), BUCKET, path, auto_cast=auto_cast)
    [call] = optimum.calls
    assert inputs == INPUTS
    assert optimum.targets == [("inf2", True)]
    assert call["instance_type"] == "inf2"
    assert call["config"] == {
        "dynamic_batch_size": False,
        "input_shapes": {"batch_size": 4, "sequence_length": 16},
    }
    assert (call["output"], call["inline_weights_to_neff"]) == (path, True)
    assert (call["auto_cast"], call["auto_cast_type"]) == (given, "bf16")


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("neuronx-cc failed with -9", "failed with -9; it was killed, most often because memory"),
        ("neuronx-cc failed with 70", "4 rows of 16 tokens: neuronx-cc failed with 70. Give `jobs"),
    ],
)
def test_a_compiler_that_fails_is_reported_with_what_helps(optimum, tmp_path, failure, says):
    optimum.fails = RuntimeError(failure)
    with pytest.raises(CompileError) as caught:
        export_neuron.compile_graph(classifier(), BUCKET, tmp_path / "g", auto_cast="none")
    assert says in str(caught.value)
    assert "`jobs.scoring` an instance with more memory" in str(caught.value)


def test_an_architecture_that_it_does_not_know_is_refused(optimum, tmp_path):
    with pytest.raises(CompileError, match="cannot export this model: 'oddbert is not supported"):
        export_neuron.compile_graph(classifier("unknown"), BUCKET, tmp_path / "g", auto_cast="none")


def test_off_the_image_the_missing_package_is_named(tmp_path):
    with pytest.raises(CompileError, match="this machine lacks optimum: compile for cpu here"):
        export_neuron.compile_graph(classifier(), BUCKET, tmp_path / "g", auto_cast="none")
