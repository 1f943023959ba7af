"""The folder that Bedrock imports is the judged model, in words that older readers know."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from botocore.session import get_session
from safetensors.torch import load_file, save_file

from sashiko.base.files import read_json, sha256_tree
from sashiko.errors import InputError
from sashiko.serving.container.answers import Answered
from sashiko_packs.bedrock import checkpoint
from sashiko_packs.bedrock.checkpoint import (
    ImportPlan,
    import_faults,
    read_import_facts,
    write_checkpoint,
)
from tests.packs.bedrock.imported import ANSWERS, PLAN, lock_of, logits, save_artifact
from tests.unit.training.tiny_llama import CHAT_TEMPLATE, save_base

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def importable(tmp_path_factory):
    root = tmp_path_factory.mktemp("importable")
    base = save_base(root / "base", tie_word_embeddings=False)
    folder = root / "folder"
    folder.mkdir()
    write_checkpoint(save_artifact(root / "artifact", base), base, lock_of(base), folder)
    return folder


@pytest.fixture
def folder(importable, tmp_path):
    """A copy that a test may spoil."""
    for file in importable.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def faults(folder: Path, plan: ImportPlan = PLAN) -> dict[str, str]:
    faults = import_faults(folder, plan, read_import_facts())
    return {fault.name: fault.problem for fault in faults}


def configured(name: str = "config.json", **values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(read_json(path) | values))

    return change


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def file(name: str, content: bytes = b"") -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def rewrite(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return rewrite


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def quantise(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)


TOKENIZER = "tokenizer_config.json"
FAULTS: dict[str, tuple[Change, str]] = {
    "config": (without("config.json"), "config.json does not exist"),
    "architecture": (
        configured(architectures=["SmolLM3ForCausalLM"]),
        "names SmolLM3ForCausalLM; Bedrock imports LlamaForCausalLM, MistralForCausalLM",
    ),
    "custom-code": (configured(auto_map={"AutoModel": "x.Y"}), "auto_map in config.json"),
    "quantization": (configured(quantization_config={"bits": 4}), "has a quantization_config"),
    "no-safetensors": (without("model.safetensors"), "has no .safetensors file"),
    "other-weights": (file("pytorch_model.bin"), "holds pytorch_model.bin: Bedrock imports"),
    "adapter": (file("adapter_config.json", b"{}"), "holds adapter_config.json"),
    "damaged-weights": (cut, "model.safetensors cannot be read"),
    "dtype": (weights(quantise), "tensors of the type I8"),
    "tokenizer": (file("tokenizer.json", b"{}"), "tokenizer.json cannot be read"),
    "token-ids": (configured(vocab_size=100), "it is another model's tokenizer"),
    "tokenizer-config": (without(TOKENIZER), "tokenizer_config.json does not exist"),
    "chat-template": (configured(TOKENIZER, chat_template=None), "has no chat_template"),
    "chat-template-digest": (
        configured(TOKENIZER, chat_template="{{ messages }}"),
        "the model was judged with",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_folder_is_reported_by_its_name(folder, name):
    change, words = FAULTS[name]
    change(folder)
    assert words in faults(folder)[name]


def test_code_beside_the_weights_is_a_fault(folder):
    (folder / "modeling_x.py").write_text("")
    assert "modeling_x.py" in faults(folder)["custom-code"]


def test_a_fault_of_the_plan_is_reported(importable):
    plans: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("region", {"region": "ap-southeast-1"}, "eu-central-1, us-east-1, us-east-2, us-west-2"),
        ("s3-uri", {"uri": "s3://bucket/as_of=20261128T1000"}, "none of = + @ :"),
        ("s3-uri", {"uri": f"s3://bucket/{'x' * 1024}"}, "is no place that Bedrock reads"),
        ("model-name", {"model_name": "two--hyphens"}, "is no name that Bedrock takes"),
        ("model-name", {"model_name": "x" * 64}, "(64 characters)"),
        ("answers", {"answered": Answered(rows=300, missed=4)}, "in 4 of 300 rows (1.3%, at most"),
        ("answers", {"answered": None}, "an older engine compiled it; run the pipeline again"),
    )
    for name, change, words in plans:
        assert words in faults(importable, replace(PLAN, **change))[name]


def test_all_faults_are_reported_at_once(folder):
    configured(architectures=["BertModel"])(folder)
    without(TOKENIZER)(folder)
    plan = replace(PLAN, region="eu-west-1")
    assert set(faults(folder, plan)) == {"architecture", "tokenizer-config", "region"}


def test_the_patterns_are_those_of_the_api():
    request = get_session().get_service_model("bedrock").shape_for("CreateModelImportJobRequest")
    uri = request.members["modelDataSource"].members["s3DataSource"].members["s3Uri"].metadata
    name = request.members["importedModelName"].metadata
    assert name["pattern"] == checkpoint._MODEL_NAME.pattern
    assert name["max"] == checkpoint._LONGEST_NAME
    assert uri["max"] == checkpoint._LONGEST_URI
    for text in (
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/a/b.c/",
        "s3://b/a",
        "s3://bucket/a=b",
    ):
        theirs = re.fullmatch(uri["pattern"], text)
        assert bool(theirs) == bool(checkpoint._URI.fullmatch(text)), text


IDS = [1, 40, 41, 42, 43]


def exported(root: Path, **config: Any) -> tuple[Path, Path, Path]:
    base = save_base(root / "base", **config)
    artifact = save_artifact(root / "artifact", base)
    folder = root / "folder"
    folder.mkdir()
    write_checkpoint(artifact, base, lock_of(base), folder)
    return folder, base, artifact


@pytest.mark.parametrize("tied", [True, False])
def test_it_has_no_fault_and_its_two_answers_score_as_the_judged_classifier_does(tmp_path, tied):
    folder, _, artifact = exported(tmp_path, tie_word_embeddings=tied)
    from transformers import AutoModelForSequenceClassification

    from sashiko.serving.container.classifier import LastTokenClassifier

    judged = LastTokenClassifier(
        AutoModelForSequenceClassification.from_pretrained(artifact / "eager", num_labels=2)
    ).eval()
    ids = torch.tensor([IDS])
    with torch.inference_mode():
        expected = judged(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    torch.testing.assert_close(logits(folder, IDS)[list(ANSWERS)], expected)
    assert faults(folder) == {}


def test_transformers_4_reads_it_and_it_is_the_same_bytes_again(tmp_path):
    folder, base, artifact = exported(tmp_path)
    config = read_json(folder / "config.json")
    assert config["rope_theta"] == 54321.0
    assert "rope_theta" not in read_json(base / "config.json")
    assert config["torch_dtype"] == "float32"
    tokenizer = read_json(folder / "tokenizer_config.json")
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert tokenizer["chat_template"] == CHAT_TEMPLATE
    again = tmp_path / "again"
    again.mkdir()
    write_checkpoint(artifact, base, lock_of(base), again)
    assert sha256_tree(again) == sha256_tree(folder)


def test_a_scaled_rotary_base_keeps_its_scaling(tmp_path):
    scaled = {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}
    folder, _, _ = exported(tmp_path, rope_parameters=scaled)
    config = read_json(folder / "config.json")
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
    assert config["rope_theta"] == 500.0


def _train(_: Path, artifact: Path) -> None:
    path = artifact / "eager/model.safetensors"
    tensors = load_file(path)
    tensors["score.weight"] += 1
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda _, artifact: (artifact / "eager/config.json").unlink(),
            r"holds a compiled graph and no model: .*target: gpu",
        ),
        (
            lambda base, _: (base / "generation_config.json").write_text("{}"),
            r"generation_config\.json is not the file that the version was merged with",
        ),
        (
            lambda _, artifact: (artifact / "tokenizer.json").write_text("{}"),
            r"tokenizer\.json is not the tokenizer of the artifact",
        ),
        (_train, "is not the answers' rows of the base model's head"),
    ],
    ids=["a compiled graph", "another base model", "another tokenizer", "a head that was trained"],
)
def test_what_is_no_model_of_the_base_is_refused(tmp_path, change, why):
    base = save_base(tmp_path / "base")
    artifact, lock = save_artifact(tmp_path / "artifact", base), lock_of(base)
    change(base, artifact)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match=why):
        write_checkpoint(artifact, base, lock, folder)
    assert list(folder.iterdir()) == []
