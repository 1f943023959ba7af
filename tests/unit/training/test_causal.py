"""A causal LM as a classifier: its prompt, its scores, its adapter."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from sashiko.base.files import sha256_bytes
from sashiko.errors import InputError
from sashiko.serving.container.adapter import AdapterError, cast_model, merge, merge_difference
from sashiko.serving.container.classifier import LastTokenClassifier, load_classifier
from sashiko.serving.container.prompt import Prompt, RowTokenizer
from sashiko.settings.recipe_train import Hyperparameters, PromptSection
from sashiko.training.causal import ARCHITECTURES, keep_answers, load_causal, save_adapter
from sashiko.training.encoder import load_tokenizer
from sashiko.training.trainee import make_prompt
from tests.unit.training.tiny_job import BAD, GOOD, HYPERPARAMETERS, PLAIN
from tests.unit.training.tiny_llama import (
    CHAT_TEMPLATE_SHA256,
    causal_hyperparameters,
    prompt,
    save_llama,
    save_trained_adapter,
)

TEXTS = ["the desk was kind", "my letter was rude and slow", "a loan", " ".join(PLAIN * 2)]
LABELS = ("bad", "good")
SETTINGS = Hyperparameters.model_validate(
    HYPERPARAMETERS | causal_hyperparameters() | {"max_length": "64", "dropout": "0"}
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save_llama(folder, [*TEXTS, *GOOD, *BAD])
    return folder


def _prompt(folder: Path, **changes: object) -> Prompt:
    section = PromptSection.model_validate(prompt(*LABELS) | changes)
    return make_prompt(
        section, load_tokenizer(folder), labels=LABELS, max_length=64, source=folder,
        chat_template_sha256=CHAT_TEMPLATE_SHA256,
    )  # fmt: skip


def _rows(folder: Path, made: Prompt, *, truncate: bool = False) -> RowTokenizer:
    content = (folder / "tokenizer.json").read_text()
    return RowTokenizer(content, max_length=64, truncate=truncate, prompt=made)


def _load(folder: Path, made: Prompt) -> LastTokenClassifier:
    """Loads a model as it is saved: with the two answers' logits."""
    model = load_causal(folder, labels=LABELS, hyperparameters=SETTINGS, attention="eager")
    keep_answers(model, made.answers)
    return model.eval()


def _logits(model: LastTokenClassifier, rows: list[list[int]], pad: int) -> torch.Tensor:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        return model(ids, mask).logits


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_score_is_the_probability_of_yes_among_the_two_answers(tmp_path, family, tied):
    save_llama(tmp_path, TEXTS, family=family, tie_word_embeddings=tied)
    made = _prompt(tmp_path)
    rows = _rows(tmp_path, made).rows(TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    yes, no = (tokenizer.encode(word)[0] for word in ("yes", "no"))
    expected = []
    for row in rows:
        with torch.no_grad():
            probabilities = model(torch.tensor([row])).logits[0, -1].double().softmax(-1)
        expected.append(float(probabilities[yes] / (probabilities[yes] + probabilities[no])))
    logits = _logits(_load(tmp_path, made), rows, pad=tokenizer.pad_token_id)
    assert logits.double().softmax(-1)[:, 1].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_row_is_what_the_chat_template_makes_of_the_whole_conversation(llama):
    tokenizer = AutoTokenizer.from_pretrained(llama)
    section = prompt(*LABELS)
    messages = [
        {"role": "system", "content": section["system"]},
        {"role": "user", "content": section["template"].replace("{text}", TEXTS[0])},
    ]
    whole = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    (row,) = _rows(llama, _prompt(llama)).rows([TEXTS[0]])
    assert tokenizer.decode(row) == whole

    assert "be brief" in tokenizer.decode(_prompt(llama, system="").prefix)
    assert "be brief" not in tokenizer.decode(_prompt(llama).prefix)


def test_neither_truncation_nor_padding_moves_the_question_or_a_score(llama):
    made = _prompt(llama)
    (row,) = _rows(llama, made, truncate=True).rows(["kind " * 200])
    assert len(row) == 64
    assert row[: len(made.prefix)] == list(made.prefix)
    assert row[-len(made.suffix) :] == list(made.suffix)

    rows = _rows(llama, made).rows(TEXTS)
    model = _load(llama, made)
    alone = torch.cat([_logits(model, [row], pad=0) for row in rows])
    tokenizer = load_tokenizer(llama)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    for pad in (tokenizer.pad_token_id, made.suffix[-1], made.answers[1]):
        torch.testing.assert_close(_logits(model, rows, pad=pad), alone, atol=1e-5, rtol=0)


def test_only_the_adapter_is_trained_and_in_the_top_layers_only(llama):
    model = _load(llama, _prompt(llama))
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert len(trained) == 3 * 2
    assert all(".layers.1." in name and ".lora_" in name for name in trained)


def test_peft_itself_reads_the_adapter(llama, tmp_path):
    from peft import PeftModel

    made = _prompt(llama)
    model = _load(llama, made)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=torch.Generator().manual_seed(1))
    save_adapter(model, made, llama, tmp_path)
    base = AutoModelForSequenceClassification.from_pretrained(llama, num_labels=2)
    theirs = PeftModel.from_pretrained(base, tmp_path).eval()
    (row,) = _rows(llama, made).rows(TEXTS[:1])
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([row])).logits
    torch.testing.assert_close(_logits(model, [row], pad=0), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": {"bad": "no", "good": "yes certainly"}}, "answers.good: `yes certainly` is"),
        ({"answers": {"bad": "no", "fine": "yes"}}, "the contract's labels are bad and good"),
        ({"template": "kind " * 90 + "{text}"}, "no room is left for a text"),
    ],
    ids=["two-tokens", "label", "room"],
)
def test_a_prompt_that_cannot_classify_is_refused_by_name(llama, changes, message):
    with pytest.raises(InputError, match="recipe key prompt") as refusal:
        _prompt(llama, **changes)
    assert message in str(refusal.value)


def test_another_chat_template_or_base_model_is_refused(llama, tmp_path):
    save_llama(tmp_path, TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = tokenizer.chat_template.replace("be brief", "be rude")
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model\.chat_template_sha256"):
        _prompt(tmp_path)

    _trained(llama, tmp_path / "adapter")
    other = tmp_path / "other"
    shutil.copytree(llama, other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0" * 4)
    with pytest.raises(AdapterError, match=r"another base model: .*model.safetensors has sha256"):
        merge(tmp_path / "adapter", other, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_chat_template_that_drops_the_text_is_refused(llama):
    tokenizer = load_tokenizer(llama)
    tokenizer.chat_template = "always the same"
    digest = sha256_bytes(b"always the same")
    section = PromptSection.model_validate(prompt(*LABELS))
    with pytest.raises(InputError, match="does not show the user's message"):
        make_prompt(
            section, tokenizer, labels=LABELS, chat_template_sha256=digest, max_length=64,
            source=llama,
        )  # fmt: skip


def test_an_architecture_that_is_not_known_is_refused_by_name(tmp_path):
    save_llama(tmp_path, TEXTS, family="gpt_neox", num_key_value_heads=4)
    with pytest.raises(InputError, match=r"model type `gpt_neox` is not supported.*llama"):
        _load(tmp_path, _prompt(tmp_path))


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"layers": 3}, "train.lora.layers is 3, the model has 2"),
        ({"target_modules": ["query"]}, "train.lora.target_modules names query"),
    ],
)
def test_an_adapter_that_does_not_fit_the_model_is_refused(llama, lora, message):
    values = SETTINGS.model_dump() | {"lora": {**SETTINGS.model_dump()["lora"], **lora}}
    settings = Hyperparameters.model_validate(values)
    with pytest.raises(InputError) as refusal:
        load_causal(llama, labels=LABELS, hyperparameters=settings, attention="eager")
    assert message in str(refusal.value)


def test_hyperparameters_survive_their_journey_as_strings():
    strings = SETTINGS.as_strings()
    assert all(isinstance(value, str) for value in strings.values())
    assert Hyperparameters.model_validate(strings) == SETTINGS
    assert np.all([len(value) <= 2500 for value in strings.values()])


def _trained(llama: Path, folder: Path) -> Prompt:
    return save_trained_adapter(llama, folder, labels=LABELS)


def test_the_merged_model_scores_as_the_one_that_was_trained(llama, tmp_path):
    made = _prompt(llama)
    model = _load(llama, made)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1, generator=generator)
    (tmp_path / "adapter").mkdir()
    save_adapter(model, made, llama, tmp_path / "adapter")
    merge(tmp_path / "adapter", llama, tmp_path / "merged")
    rows = _rows(llama, made).rows(TEXTS)
    merged = _logits(load_classifier(tmp_path / "merged").classifier, rows, pad=0)
    torch.testing.assert_close(merged, _logits(model, rows, pad=0), atol=1e-5, rtol=0)
    assert (merged - _logits(_load(llama, made), rows, pad=0)).abs().max() > 0.01


def test_the_difference_of_a_merge_is_that_of_the_row_that_differs_most(llama, tmp_path):
    made = _trained(llama, tmp_path / "adapter")
    merge(tmp_path / "adapter", llama, tmp_path / "merged")
    model = load_classifier(tmp_path / "merged")
    rows = _rows(llama, made).rows(TEXTS)
    assert merge_difference(model, tmp_path / "adapter", llama, rows) <= 1e-5
    with torch.no_grad():
        model.classifier.get_submodule("model.model.layers.1.mlp.up_proj").weight += 0.05
    apart = [merge_difference(model, tmp_path / "adapter", llama, [row]) for row in rows]
    assert max(apart) > 1.5 * np.mean(apart)
    assert merge_difference(model, tmp_path / "adapter", llama, rows) == max(apart)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, True) for key in ("use_dora", "use_rslora", "fan_in_fan_out")),
        *((key, {"q_proj": 2}) for key in ("rank_pattern", "alpha_pattern")),
    ],
)
def test_an_adapter_that_only_peft_can_merge_is_refused(llama, tmp_path, key, value):
    _trained(llama, tmp_path / "adapter")
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(AdapterError, match=rf"adapter_config\.json: {key} is not supported"):
        merge(tmp_path / "adapter", llama, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_cast_model_is_scored_in_the_type_of_its_file(llama, tmp_path):
    made = _trained(llama, tmp_path / "adapter")
    merge(tmp_path / "adapter", llama, tmp_path / "merged")
    folder = cast_model(tmp_path / "merged", tmp_path / "cast", dtype="bfloat16")
    assert cast_model(tmp_path / "merged", tmp_path / "no", dtype="float32") == tmp_path / "merged"
    merged, cast = (load_file(path / "model.safetensors") for path in (tmp_path / "merged", folder))
    assert torch.equal(cast.pop("score.weight"), merged["score.weight"])
    assert cast.keys() == merged.keys() - {"score.weight"}
    for name, weights in cast.items():
        assert torch.equal(weights, merged[name].to(torch.bfloat16))
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    rows = _rows(llama, made).rows(TEXTS)
    exact = _logits(load_classifier(tmp_path / "merged").classifier, rows, pad=0)
    rounded = _logits(load_classifier(folder).classifier, rows, pad=0)
    served = _logits(load_classifier(folder, as_stored=True).classifier, rows, pad=0)
    theirs = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager"
    )
    head = theirs.score.weight.float()
    with torch.no_grad():
        states = theirs.model(torch.tensor([rows[0]])).last_hidden_state[0, -1]
    ours = _logits(load_classifier(folder, as_stored=True).classifier, rows[:1], pad=0)[0]
    torch.testing.assert_close(ours, head @ states.float(), atol=1e-2, rtol=0)
    # Weights alone in bfloat16, and all computations in it, are two models.
    assert 0 < (rounded - exact).abs().max() < 0.1
    assert 0 < (served - rounded).abs().max() < 0.1
