"""Loads, partly freezes and saves the encoder with its new classification head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sashiko.errors import InputError
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.folders import publish


def load_tokenizer(folder: Path) -> Any:
    """Loads the folder's fast tokenizer, from local files only.

    Raises:
        InputError: if the folder has no `tokenizer.json`, or names code to run.
    """
    _refuse_code(folder)
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{folder} has no tokenizer.json: the recipe's model needs a fast tokenizer"
        )
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_classifier(
    folder: Path,
    *,
    labels: tuple[str, str],
    hyperparameters: Hyperparameters,
    attention: str | None,
) -> Any:
    """Loads a pre-trained encoder in float32 and puts a new head on it.

    Args:
        folder: a Hugging Face model folder with safetensors weights.
        labels: the (negative, positive) label; classes 0 and 1.
        hyperparameters: dropout, frozen layers and the longest sequence.
        attention: `eager`, or None for the fused one where the model has it; the saved model does
            not depend on it.

    Returns:
        A `PreTrainedModel` for sequence classification; its head is drawn from torch's generator.

    Raises:
        InputError: if loading could run code, transformers has no classifier of the model's
            type, the weights cannot be read or do not fit the configuration, or a hyperparameter
            does not fit the model.
    """
    model = load_pretrained(
        folder, labels=labels, dropout=hyperparameters.dropout, attention=attention
    )
    check_length(model, hyperparameters.max_length)
    freeze(model, layers=hyperparameters.frozen_layers)
    return model


def load_pretrained(
    folder: Path,
    *,
    labels: tuple[str, str],
    dropout: float,
    attention: str | None,
    architectures: Sequence[str] = (),
    marks: Mapping[str, bool] = MappingProxyType({}),
) -> Any:
    """Loads a model in float32 as a sequence classifier whose head is drawn at random.

    Args:
        folder: a Hugging Face model folder with safetensors weights.
        labels: the (negative, positive) label; classes 0 and 1.
        dropout: replaces each probability of dropout in the configuration.
        attention: as in `load_classifier`.
        architectures: the model types that are allowed; empty for any.
        marks: keys that the saved configuration gets.

    Raises:
        InputError: as `load_classifier`.
    """
    _refuse_code(folder)
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # its report on the new head looks like an error
    logging.disable_progress_bar()
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if architectures and config.model_type not in architectures:
        raise InputError(
            f"{folder}: model type `{config.model_type}` is not supported with `family: causal`: "
            f"choose one of {', '.join(architectures)}"
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    for name in _dropouts(config):
        setattr(config, name, dropout)
    for name, value in marks.items():
        setattr(config, name, value)
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=attention,
            output_loading_info=True,
        )
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder}: the weights cannot be read: {error}") from error
    except ValueError as error:
        raise InputError(
            f"{folder}: transformers makes no classifier of model type `{config.model_type}`: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    _check_pretrained(model, set(report["missing_keys"]), folder)
    return model


def check_length(model: Any, max_length: int) -> None:
    """Checks that a model reads rows of `max_length` tokens.

    Raises:
        InputError: if it does not.
    """
    from sashiko.serving.container.classifier import longest_input

    limit = longest_input(model)
    if limit is not None and max_length > limit:
        raise InputError(
            f"compile.sequence_lengths go up to {max_length} tokens, the model reads {limit}: "
            "lower them"
        )


def freeze(model: Any, *, layers: int) -> None:
    """Stops training of the embeddings, what projects them, and the lowest `layers` of the encoder.

    Raises:
        InputError: if the model has fewer layers with weights of their own.
    """
    blocks = layers_of(model)
    if layers > len(blocks):
        problem = (
            f"has {len(blocks)} layers" if blocks else "has no layers with weights of their own"
        )
        raise InputError(
            f"train.frozen_layers is {layers}, model type `{model.config.model_type}` {problem}: "
            f"set it to at most {len(blocks)}"
        )
    embeddings = [
        module
        for name, module in model.base_model.named_modules()
        if name.rpartition(".")[2].startswith("embedding")
    ]
    for module in (model.get_input_embeddings(), *embeddings, *blocks[:layers]):
        module.requires_grad_(False)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes weights (float32 safetensors), configuration and tokenizer.

    Raises:
        InputError: if they cannot be written.
    """
    with publish(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def _refuse_code(folder: Path) -> None:
    from sashiko.serving.container.classifier import CompileError, refuse_code  # imports torch

    try:
        refuse_code(folder)
    except CompileError as error:
        raise InputError(str(error)) from error


def _check_pretrained(model: Any, missing: set[str], folder: Path) -> None:
    """Checks that only the head and pooler are newly initialised."""
    prefix = f"{model.base_model_prefix}."
    uninitialised = sorted(
        name for name in missing if name.startswith(prefix) and ".pooler." not in f".{name}"
    )
    if uninitialised:
        raise InputError(
            f"{folder}: the weights lack {len(uninitialised)} tensors that config.json asks for, "
            f"such as {uninitialised[0]}: the folder's files do not belong together"
        )


def _dropouts(config: Any) -> list[str]:
    """Names the probabilities of dropout in a configuration, as each family calls its own."""
    return [
        name
        for name, value in config.to_dict().items()
        if "dropout" in name and not isinstance(value, bool | str)
    ]


def layers_of(model: Any) -> list[Any]:
    """Returns the model's layers: the first module list of the configured length.

    ALBERT's layers share one set of weights: it has no such list.
    """
    from torch.nn import ModuleList

    count = model.config.num_hidden_layers
    lists = (module for module in model.base_model.modules() if isinstance(module, ModuleList))
    return list(next((module for module in lists if len(module) == count), ()))
