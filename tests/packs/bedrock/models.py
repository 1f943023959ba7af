"""A base model, an artifact with a merged classifier made of it, and what the lock says of both."""

import functools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sashiko.base.files import read_json, sha256_file, walk_files, write_json
from sashiko.serving.compile_lock import CausalLock
from sashiko.serving.container.answers import Answered
from sashiko.serving.container.prompt import Prompt
from sashiko.settings.recipe_train import PromptSection
from sashiko.training.encoder import load_tokenizer
from sashiko.training.trainee import make_prompt
from sashiko_packs.bedrock.checkpoint import ImportPlan
from tests.unit.training.tiny_llama import CHAT_TEMPLATE_SHA256, prompt

ANSWERS = (7, 9)
LENGTH = 96  # tokens of the longest row
PLAN = ImportPlan(
    uri="s3://sashiko-dev-artifacts-111122223333-us-east-1/bedrock/0123456789abcdef",
    region="us-east-1",
    model_name="sashiko-dev-complaint-triage-llm-v3",
    chat_template_sha256=CHAT_TEMPLATE_SHA256,
    answered=Answered(rows=300, missed=3),
)


def prompt_of(base: Path) -> Prompt:
    """The prompt that Train makes for this base model, with two tokens as its answers."""
    made = make_prompt(
        PromptSection.model_validate(prompt("bad", "good")),
        load_tokenizer(base),
        labels=("bad", "good"),
        chat_template_sha256=CHAT_TEMPLATE_SHA256,
        max_length=LENGTH,
        source=base,
    )
    return replace(made, answers=ANSWERS)


def save_artifact(folder: Path, base: Path) -> Path:
    """Writes what an accelerator's artifact keeps of a model whose adapter changed one layer."""
    eager = folder / "eager"
    eager.mkdir(parents=True)
    tensors = load_file(base / "model.safetensors")
    head = tensors.pop("lm_head.weight", tensors["model.embed_tokens.weight"])
    tensors["score.weight"] = head[list(ANSWERS)].clone()
    tensors["model.layers.1.self_attn.q_proj.weight"] += 0.01
    save_file(tensors, eager / "model.safetensors", metadata={"format": "pt"})
    config = read_json(base / "config.json")
    write_json(
        eager / "config.json", {**config, "architectures": ["LlamaForSequenceClassification"]}
    )
    write_serving(folder, base, prompt_of(base))
    return folder


def write_serving(folder: Path, base: Path, prompt: Prompt) -> None:
    """Writes what an artifact has beside the model itself."""
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    serving = {
        "target": "gpu",
        "labels": ["bad", "good"],
        "truncate": True,
        "buckets": [{"batch": 1, "length": LENGTH, "graph": ""}],
        "prompt": asdict(prompt),
    }
    write_json(folder / "serving.json", serving)


def lock_of(base: Path) -> CausalLock:
    """What the compile lock says of a version that was merged with this base model."""
    return CausalLock(
        base={file.relative_to(base).as_posix(): sha256_file(file) for file in walk_files(base)},
        adapter_sha256="a" * 64,
        merge_difference=0.0,
        answered=Answered(rows=300, missed=3),
        answers=ANSWERS,
        chat_template_sha256=CHAT_TEMPLATE_SHA256,
    )


@functools.cache
def _load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()


def logits(folder: Path, ids: list[int]) -> torch.Tensor:
    """The logits of the next token, by transformers' own reading of a folder."""
    model = _load(folder)
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits
