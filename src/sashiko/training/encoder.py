"""Loads, partly freezes and saves the encoder with its new classification head."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sashiko.errors import InputError, disk_reason
from sashiko.settings.recipe_train import Hyperparameters


def load_tokenizer(folder: Path) -> Any:
    """Loads the folder's fast tokenizer, from local files only.

    Raises:
        InputError: if the folder has no `tokenizer.json`, or names code to run.
    """
    _refuse_code(folder)
    if not (folder / "tokenizer.json").is_file():
        problem = "has no tokenizer.json: the recipe's model needs a fast tokenizer"
        raise InputError(f"{folder} {problem}")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_classifier(
    folder: Path,
    *,
    labels: tuple[str, ...],
    is_number: bool = False,
    hyperparameters: Hyperparameters,
    attention: str | None,
) -> Any:
    """Loads a pre-trained encoder in float32, puts a new head on it, and freezes lower layers.

    What is frozen are the embeddings, what projects them, and the lowest layers of the encoder.
    `labels` are those of the classes, in their order. Of a number they are its two outcomes, and
    the head has one output. `attention` is `eager`, or None
    for the fused one where the model has it; the saved model does not depend on it.

    Returns:
        A `PreTrainedModel` for sequence classification; its head is drawn from torch's generator.

    Raises:
        InputError: if loading could run code, transformers has no classifier of the model's
            type, the weights cannot be read or do not fit the configuration, or a hyperparameter
            does not fit the model.
    """
    from sashiko.serving.container.classifier import REGRESSION

    model = load_pretrained(
        folder,
        labels=("value",) if is_number else labels,
        dropout=hyperparameters.dropout,
        attention=attention,
        marks={"problem_type": REGRESSION, "outcomes": labels} if is_number else {},
    )
    check_length(model, hyperparameters.max_length)
    blocks, layers = layers_of(model), hyperparameters.frozen_layers
    if layers > len(blocks):
        count = f"{len(blocks)} layers" if blocks else "no layers with weights of their own"
        raise InputError(
            f"train.frozen_layers is {layers}, model type `{model.config.model_type}` has {count}: "
            f"set it to at most {len(blocks)}"
        )
    named = model.base_model.named_modules()
    embeddings = [part for name, part in named if name.split(".")[-1].startswith("embedding")]
    for module in (model.get_input_embeddings(), *embeddings, *blocks[:layers]):
        module.requires_grad_(False)
    return model


def load_pretrained(
    folder: Path,
    *,
    labels: tuple[str, ...],
    dropout: float,
    attention: str | None,
    architectures: Sequence[str] = (),
    marks: Mapping[str, object] = MappingProxyType({}),
) -> Any:
    """Loads a model in float32 as a sequence classifier whose head is drawn at random.

    `dropout` replaces each probability of dropout in the configuration, `architectures` are the
    model types that are allowed (empty: any), and the saved configuration gets the keys `marks`.
    All else is as of `load_classifier`.
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
    # As each family calls its probabilities.
    for name, value in config.to_dict().items():
        if "dropout" in name and not isinstance(value, bool | str):
            setattr(config, name, dropout)
    for name, mark in marks.items():
        setattr(config, name, mark)
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
    # Only the head and a pooler may be new.
    prefix = f"{model.base_model_prefix}."
    missing = [name for name in report["missing_keys"] if name.startswith(prefix)]
    lacking = sorted({name for name in missing if ".pooler." not in f".{name}"})
    if lacking:
        raise InputError(
            f"{folder}: the weights lack {len(lacking)} tensors that config.json asks for, such as "
            f"{lacking[0]}: the folder's files do not belong together"
        )
    return model


def check_length(model: Any, max_length: int) -> None:
    """Checks that a model reads rows of `max_length` tokens.

    Raises:
        InputError: if it does not.
    """
    from sashiko.serving.container.classifier import longest_input

    limit = longest_input(model)
    if limit is not None and max_length > limit:
        most = f"{max_length} tokens, the model reads {limit}: lower them"
        raise InputError(f"compile.sequence_lengths go up to {most}")


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


def layers_of(model: Any) -> list[Any]:
    """Returns the model's layers: the first module list of the configured length.

    ALBERT's layers share one set of weights: it has no such list.
    """
    from torch.nn import ModuleList

    count = model.config.num_hidden_layers
    lists = (module for module in model.base_model.modules() if isinstance(module, ModuleList))
    return list(next((module for module in lists if len(module) == count), ()))


@contextmanager
def publish(folder: Path) -> Iterator[Path]:
    """Yields a folder beside `folder`; its files move into that one when all are written.

    Raises:
        InputError: if they cannot be written.
    """
    from safetensors import SafetensorError

    temporary = ""
    try:
        temporary = tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-model-")
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            file.chmod(0o644)
            file.replace(folder / file.name)
    except OSError as error:
        raise InputError(f"cannot write the model to {folder}: {disk_reason(error)}") from error
    except SafetensorError as error:
        raise InputError(
            f"cannot write the model to {folder}: {error}; free some space and run again"
        ) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
