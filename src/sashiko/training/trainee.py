"""The model that is trained, whichever its family: how it reads texts, and how it is saved."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sashiko.base.files import sha256_bytes
from sashiko.data.splits import SplitMeta
from sashiko.errors import InputError
from sashiko.serving.container.prompt import Prompt, RowTokenizer
from sashiko.settings.recipe_train import (
    LONGEST_ROW,
    TEXT_PLACEHOLDER,
    Hyperparameters,
    PromptSection,
)
from sashiko.training.causal import load_causal, save_adapter
from sashiko.training.encoder import load_classifier, load_tokenizer, save_model
from sashiko.training.examples import Tokenize, encoder_rows
from sashiko.training.machine import attention, check_memory

if TYPE_CHECKING:
    import torch

# In no template and no message; letters only, so that no template changes it.
_MARK = "SASHIKOTEXTMARK"
# Llama's templates print the day otherwise, and the prompt would differ from one day to the next.
_DATE = "26 Jul 2024"


def make_prompt(
    section: PromptSection,
    tokenizer: Any,
    *,
    labels: tuple[str, ...],
    chat_template_sha256: str,
    max_length: int,
    source: Path,
) -> Prompt:
    """Renders the prompt by the tokenizer's chat template, up to where the answer begins.

    A row has at most `max_length` tokens; `source`, the model's folder, is for errors.

    Raises:
        InputError: if the tokenizer has another chat template or none, the template loses the
            text, an answer is not one token after the prompt or two are the same one, a label has
            no answer, or the prompt leaves no room for a text.
    """
    from jinja2.exceptions import TemplateError

    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise InputError(
            f"{source}: the tokenizer has no chat template: choose a model that was trained to "
            "follow instructions"
        )
    digest = sha256_bytes(template.encode())
    if digest != chat_template_sha256:
        raise InputError(
            f"{source}: the chat template has sha256 {digest}, and the recipe's key "
            f"model.chat_template_sha256 is {chat_template_sha256}: read the template, then "
            "correct the key"
        )
    user = section.template.replace(TEXT_PLACEHOLDER, _MARK)
    messages = [{"role": "system", "content": section.system}] if section.system else []
    messages.append({"role": "user", "content": user})
    try:
        rendered = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, date_string=_DATE
        )
    except TemplateError as error:
        raise InputError(f"{source}: the chat template refuses the prompt: {error}") from error
    before, mark, after = rendered.partition(_MARK)
    if not mark or _MARK in after:
        raise InputError(
            f"{source}: the chat template does not show the user's message once: the model would "
            "not read the text; choose another model"
        )
    prompt = Prompt(
        prefix=tuple(_ids(tokenizer, before)),
        suffix=tuple(_ids(tokenizer, after)),
        answers=_answers(section, tokenizer, labels=labels, after=after),
        chat_template_sha256=digest,
    )
    if prompt.size >= max_length:
        raise InputError(
            f"recipe key prompt: system message, template and question have {prompt.size} tokens, "
            f"and the longest compile.sequence_lengths is {max_length}: no room is left for a "
            f"text; shorten the prompt or raise the length ({LONGEST_ROW} at most)"
        )
    return prompt


def _answers(
    section: PromptSection, tokenizer: Any, *, labels: tuple[str, ...], after: str
) -> tuple[int, ...]:
    """Returns the tokens of the answers to the labels, in their order."""
    if set(section.answers) != set(labels):
        raise InputError(
            f"recipe key prompt.answers is for {', '.join(section.answers)}; the contract's labels "
            f"are {' and '.join(labels)}"
        )
    suffix = _ids(tokenizer, after)
    tokens: dict[int, str] = {}  # token -> its label
    for label in labels:
        answer = section.answers[label]
        ids = _ids(tokenizer, after + answer)
        if ids[: len(suffix)] != suffix or len(ids) != len(suffix) + 1:
            count = len(ids) - len(suffix)
            raise InputError(
                f"recipe key prompt.answers.{label}: `{answer}` is {count} tokens after the "
                "prompt, and must be one: choose another word"
            )
        if (other := tokens.setdefault(ids[-1], label)) != label:
            raise InputError(
                f"recipe key prompt.answers: those of {other} and {label} are the same token to "
                "this model: choose other words"
            )
    return tuple(tokens)


def _ids(tokenizer: Any, text: str) -> list[int]:
    # The rendered prompt has its special tokens already.
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@dataclass(frozen=True)
class Trainee:
    """A loaded model."""

    model: Any  # token ids and mask to logits: of the labels, or of a causal LM's vocabulary
    classes: tuple[int, ...]  # the place of each label's logit; one place for a number
    tokenize: Tokenize  # texts to token ids
    pad: int  # the token id that fills short rows
    save: Callable[[Path], None]  # writes the trained model into a folder


def load_trainee(
    folder: Path,
    settings: Hyperparameters,
    *,
    meta: SplitMeta,
    device: "torch.device",
) -> Trainee:
    """Loads a pre-trained model on the CPU: an encoder, or with a prompt a causal LM.

    `meta` is Prepare's summary, with the labels; `device` is what it will be trained on.

    Raises:
        InputError: if the folder's files are refused, do not fit the hyperparameters, or take more
            memory than the machine has.
    """
    check_memory(folder, settings.distributed, device)
    longest, truncate, labels = settings.max_length, settings.truncate, meta.labels
    tokenizer = load_tokenizer(folder)
    kernel = attention(device, max_length=longest)
    if settings.prompt is None:
        number = meta.number is not None
        model = load_classifier(
            folder, labels=labels, is_number=number, hyperparameters=settings, attention=kernel
        )
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        tokenize = encoder_rows(tokenizer, max_length=longest, truncate=truncate)
        save = partial(save_model, model, tokenizer)
        places = tuple(range(model.config.num_labels))
        return Trainee(model, places, tokenize, tokenizer.pad_token_id, save)
    prompt = make_prompt(
        settings.prompt,
        tokenizer,
        labels=labels,
        chat_template_sha256=settings.chat_template_sha256 or "",
        max_length=longest,
        source=folder,
    )
    content = (folder / "tokenizer.json").read_text(encoding="utf-8")
    rows = RowTokenizer(content, max_length=longest, truncate=truncate, prompt=prompt).rows
    model = load_causal(folder, labels=labels, hyperparameters=settings, attention=kernel)
    # Any token pads, as no token looks ahead: many chat models have no token for padding.
    pad, save = tokenizer.pad_token_id or 0, partial(save_adapter, model, prompt, folder)
    return Trainee(model, prompt.answers, rows, pad, save)
