"""The folder that Bedrock imports is the judged model, in words that older readers know."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sashiko.base.files import read_json, sha256_tree
from sashiko.errors import InputError
from sashiko_packs.bedrock.checkpoint import import_faults, read_import_facts, write_checkpoint
from tests.packs.bedrock.models import ANSWERS, PLAN, lock_of, logits, save_artifact
from tests.unit.training.tiny_llama import CHAT_TEMPLATE, save_base

IDS = [1, 40, 41, 42, 43]


def exported(root: Path, **config: Any) -> tuple[Path, Path, Path]:
    base = save_base(root / "base", **config)
    artifact = save_artifact(root / "artifact", base)
    folder = root / "folder"
    folder.mkdir()
    write_checkpoint(artifact, base, lock_of(base), folder)
    return folder, base, artifact


@pytest.mark.parametrize("tied", [True, False])
def test_its_two_answers_score_as_the_judged_classifier_does(tmp_path: Path, tied: bool) -> None:
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


def test_nothing_that_the_preflight_looks_for_is_in_it(tmp_path: Path) -> None:
    folder, _, _ = exported(tmp_path)
    assert import_faults(folder, PLAN, read_import_facts()) == []


def test_transformers_4_reads_the_same_rotary_base_template_and_tokenizer(tmp_path: Path) -> None:
    folder, base, _ = exported(tmp_path)
    config = read_json(folder / "config.json")
    assert config["rope_theta"] == 54321.0
    assert "rope_theta" not in read_json(base / "config.json")
    assert config["torch_dtype"] == "float32"
    tokenizer = read_json(folder / "tokenizer_config.json")
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert tokenizer["chat_template"] == CHAT_TEMPLATE


def test_a_scaled_rotary_base_keeps_its_scaling(tmp_path: Path) -> None:
    scaled = {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}
    folder, _, _ = exported(tmp_path, rope_parameters=scaled)
    config = read_json(folder / "config.json")
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
    assert config["rope_theta"] == 500.0


def test_a_second_time_it_is_the_same_bytes(tmp_path: Path) -> None:
    folder, base, artifact = exported(tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    write_checkpoint(artifact, base, lock_of(base), again)
    assert sha256_tree(again) == sha256_tree(folder)


def _refused(root: Path, change: Any, why: str) -> None:
    base = save_base(root / "base")
    artifact, lock = save_artifact(root / "artifact", base), lock_of(base)
    change(base, artifact)
    folder = root / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match=why):
        write_checkpoint(artifact, base, lock, folder)
    assert list(folder.iterdir()) == []


def test_a_compiled_graph_is_refused_with_the_target_that_keeps_the_model(tmp_path: Path) -> None:
    _refused(
        tmp_path,
        lambda _, artifact: (artifact / "eager/config.json").unlink(),
        r"holds a compiled graph and no model: .*target: gpu",
    )


def test_another_base_model_is_refused_by_the_file_that_differs(tmp_path: Path) -> None:
    _refused(
        tmp_path,
        lambda base, _: (base / "generation_config.json").write_text("{}"),
        r"generation_config\.json is not the file that the version was merged with",
    )


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    _refused(
        tmp_path,
        lambda _, artifact: (artifact / "tokenizer.json").write_text("{}"),
        r"tokenizer\.json is not the tokenizer of the artifact",
    )


def test_a_head_that_was_trained_is_refused(tmp_path: Path) -> None:
    def train(_: Path, artifact: Path) -> None:
        path = artifact / "eager/model.safetensors"
        tensors = load_file(path)
        tensors["score.weight"] += 1
        save_file(tensors, path, metadata={"format": "pt"})

    _refused(tmp_path, train, "is not the answers' rows of the base model's head")
