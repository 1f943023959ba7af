"""The model that is trained, whichever its family: how it reads texts, and how it is saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sashiko.settings.train import Hyperparameters
from sashiko.training.causal import load_causal, save_adapter
from sashiko.training.examples import Tokenize, encoder_rows, prompted_rows
from sashiko.training.machine import attention, check_memory
from sashiko.training.model import load_classifier, load_tokenizer, save_model
from sashiko.training.prompts import make_prompt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Trainee:
    """A loaded model."""

    model: Any  # token ids and mask to logits: of the two labels, or of a causal LM's vocabulary
    classes: tuple[int, int]  # the logits of the negative and of the positive label
    tokenize: Tokenize  # texts to token ids
    pad: int  # the token id that fills short rows
    save: Callable[[Path], None]  # writes the trained model into a folder


def load_trainee(
    folder: Path, settings: Hyperparameters, *, labels: tuple[str, str], device: "torch.device"
) -> Trainee:
    """Loads a pre-trained model on the CPU: an encoder, or with a prompt a causal LM.

    Args:
        folder: a Hugging Face model folder.
        settings: the job's hyperparameters.
        labels: the (negative, positive) label.
        device: what it will be trained on.

    Raises:
        InputError: if the folder's files are refused, do not fit the hyperparameters, or take more
            memory than the machine has.
    """
    check_memory(folder, settings.distributed, device)
    tokenizer = load_tokenizer(folder)
    kernel = attention(device, max_length=settings.max_length)
    if settings.prompt is None:
        model = load_classifier(folder, labels=labels, hyperparameters=settings, attention=kernel)
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        return Trainee(
            model=model,
            classes=(0, 1),
            tokenize=encoder_rows(
                tokenizer, max_length=settings.max_length, truncate=settings.truncate
            ),
            pad=tokenizer.pad_token_id,
            save=partial(save_model, model, tokenizer),
        )
    prompt = make_prompt(
        settings.prompt,
        tokenizer,
        labels=labels,
        chat_template_sha256=settings.chat_template_sha256 or "",
        max_length=settings.max_length,
        source=folder,
    )
    model = load_causal(folder, labels=labels, hyperparameters=settings, attention=kernel)
    return Trainee(
        model=model,
        classes=prompt.answers,
        tokenize=prompted_rows(
            folder, prompt, max_length=settings.max_length, truncate=settings.truncate
        ),
        # Any token does, as no token looks ahead: many chat models have no token for padding.
        pad=tokenizer.pad_token_id or 0,
        save=partial(save_adapter, model, prompt, folder),
    )


def with_weights(trainee: Trainee, weights: Mapping[str, Any]) -> Trainee:
    """Puts trained weights, by name, into a model that has just been loaded."""
    trainee.model.load_state_dict(weights, strict=False)
    return trainee
