"""A random Llama with a tokenizer and a chat template of its own, as small as a test needs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sashiko.base.files import sha256_bytes, write_json
from sashiko.serving.container.answers import ANSWERS_FILE
from sashiko.serving.container.prompt import Prompt
from sashiko.settings.recipe_train import Hyperparameters, PromptSection
from sashiko.training.causal import keep_answers, load_causal, save_adapter
from sashiko.training.encoder import load_tokenizer
from sashiko.training.trainee import make_prompt
from tests.unit.training.tiny_job import BAD, GOOD, HYPERPARAMETERS, PLAIN

END = "<|im_end|>"  # ends each message, and pads
SPECIAL = ("<|endoftext|>", "<|im_start|>", END)
# Like that of SmolLM2: without a system message it adds one of its own.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nbe brief<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHAT_TEMPLATE_SHA256 = sha256_bytes(CHAT_TEMPLATE.encode())
LORA = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj", "up_proj"], "layers": 1}


def prompt(*labels: str) -> dict[str, Any]:
    return {
        "system": "answer in a word",
        "template": "{text}\nis it good? yes or no",
        "answers": dict(zip(labels, ("no", "yes", "user"), strict=False)),
    }


def causal_hyperparameters(*labels: str) -> dict[str, str]:
    """What a training job of a causal LM gets beside an encoder's hyperparameters."""
    return {
        "frozen_layers": "0",
        "lora": json.dumps(LORA),
        "prompt": json.dumps(prompt(*labels or ("bad", "good"))),
        "chat_template_sha256": CHAT_TEMPLATE_SHA256,
    }


def save_llama(folder: Path, texts: Sequence[str], *, family: str = "llama", **config: Any) -> None:
    """Writes a random causal LM whose tokenizer has seen some texts; padding is the end token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    words = ["system", "user", "assistant", "answer in a word", "is it good? yes or no"] * 50
    made.train_from_iterator(
        [*texts, *words, *["yes", "no"] * 50],
        trainers.BpeTrainer(
            vocab_size=1024,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=SPECIAL[1], eos_token=END, pad_token=END,
        unk_token=SPECIAL[0],
    )  # fmt: skip
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8,
        "max_position_embeddings": 128, "tie_word_embeddings": True, "initializer_range": 0.2,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes | config))
        model.save_pretrained(folder)


def save_base(folder: Path, **config: Any) -> Path:
    """Writes a random causal LM with a rotary base that is nobody's default."""
    folder.mkdir()
    rope = {"rope_parameters": {"rope_theta": 54321.0, "rope_type": "default"}}
    # Large enough for logits of which a few may have nearly all of the probability.
    sizes = {"initializer_range": 0.5}
    texts = ["a good day", "a bad night", *(" ".join(words) for words in (PLAIN, GOOD, BAD))]
    save_llama(folder, texts, **rope | sizes | config)
    return folder


def save_trained_adapter(llama: Path, folder: Path, *, labels: tuple[str, ...]) -> Prompt:
    """Writes an adapter that changes the model, as Train writes one, and returns its prompt."""
    import torch

    section = PromptSection.model_validate(prompt(*labels))
    made = make_prompt(
        section, load_tokenizer(llama), labels=labels,
        chat_template_sha256=CHAT_TEMPLATE_SHA256, max_length=64, source=llama,
    )  # fmt: skip
    settings = Hyperparameters.model_validate(
        HYPERPARAMETERS | causal_hyperparameters(*labels) | {"max_length": "64", "dropout": "0"}
    )
    with torch.random.fork_rng():  # the adapter's first half is drawn
        torch.manual_seed(0)
        model = load_causal(llama, labels=labels, hyperparameters=settings, attention="eager")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1, generator=generator)
    folder.mkdir()
    keep_answers(model, made.answers)
    save_adapter(model, made, llama, folder)
    write_json(folder / ANSWERS_FILE, {"rows": 100, "missed": 1})
    return made
