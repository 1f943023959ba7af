"""A fine-tuned Hugging Face classifier, which Compile exports or which runs uncompiled."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.logging import disable_progress_bar

_WEIGHTS = ".safetensors"
REGRESSION = "regression"  # transformers' problem_type of a model whose label is a number
READS_LAST = "reads_last_token"  # of config.json: the model is a LastTokenClassifier


class CompileError(Exception):
    """The model cannot be compiled with these settings; the message names cause and fix."""


class LastTokenClassifier(torch.nn.Module):
    """A causal LM's answers as logits: the score of each at the last token of the prompt.

    The head has the answers' rows of the LM's own head, so the softmax of its logits is the
    probability of each among them. transformers' own forward finds the last token by the id of
    padding, which in many chat models is the id that ends each message; here the mask tells it.
    Tokens are never masked: padding comes last, and a causal LM does not look ahead.

    Attributes:
        config: the model's `config.json`.
        base_model_prefix: of the parameters below the head.
    """

    def __init__(self, model: Any) -> None:
        """Wraps a sequence classifier of `transformers` whose head is called `score`."""
        super().__init__()
        self.model = model
        self.config: Any = model.config
        self.base_model_prefix = f"model.{model.base_model_prefix}"

    @property
    def base_model(self) -> Any:
        """The model without its head."""
        return self.model.base_model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    def set_attn_implementation(self, name: str) -> None:
        """Chooses among transformers' implementations of attention."""
        self.model.set_attn_implementation(name)

    def get_input_embeddings(self) -> torch.nn.Module:
        """Returns the embeddings of the tokens."""
        embeddings: torch.nn.Module = self.model.get_input_embeddings()
        return embeddings

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> SequenceClassifierOutput:
        """Returns the logits of the answers, (batch, answers).

        Args:
            input_ids: (batch, length), padded on the right.
            attention_mask: 1 for a token and 0 for padding, of the same shape.
        """
        states = self.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        # A row without a token only fills a batch; its score is not read.
        last = (attention_mask.sum(dim=1) - 1).clamp(min=0)
        last = last[:, None, None].expand(-1, 1, states.shape[-1])
        state, head = states.gather(1, last)[:, 0], self.model.score
        if state.dtype != head.weight.dtype:  # a head in float32 on layers in bfloat16
            state = state.to(head.weight.dtype)
        return SequenceClassifierOutput(logits=head(state))


def reads_last_token(config: Any) -> bool:
    """Returns whether a configuration is of a causal LM that Train has adapted."""
    return bool(getattr(config, READS_LAST, False))


class ScoredModel(torch.nn.Module):
    """The classifier with its softmax: (batch, length) ids and mask to (batch, classes).

    A model of one output, which stands for a number, has no softmax.

    Attributes:
        config: the classifier's `config.json`.
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        """Wraps a classifier."""
        super().__init__()
        self.classifier = classifier
        self.config: Any = classifier.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns the probability of each class, or the number; float32, (batch, outputs)."""
        logits = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.float() if logits.shape[-1] == 1 else torch.softmax(logits.float(), dim=-1)


def load_classifier(folder: Path, *, as_stored: bool = False) -> ScoredModel:
    """Loads a Hugging Face folder, with attention as plain operators.

    Args:
        folder: config.json and safetensors.
        as_stored: compute with each weight in the type that its file has, as it is served;
            otherwise in float32.

    Raises:
        CompileError: if loading it could run code, weights cannot be read or are missing (they
            would be random), or the model has one output and its label is not a number.
    """
    refuse_code(folder)
    disable_progress_bar()
    try:
        with quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                attn_implementation="eager",
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
    except (OSError, SafetensorError) as error:
        raise CompileError(
            f"the model cannot be loaded: {error}; give the output of Train"
        ) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise CompileError(f"model.safetensors lacks {missing}: give the output of Train")
    if model.config.num_labels < 2 and model.config.problem_type != REGRESSION:
        raise CompileError("the model has 1 label, expected two or more: give the output of Train")
    # The argument of from_pretrained for the type differs between the images' transformers.
    model = model.float()
    if as_stored:
        _cast_as_stored(model, folder)
    if reads_last_token(model.config):
        model = LastTokenClassifier(model)
    return ScoredModel(model).eval()


def _cast_as_stored(model: torch.nn.Module, folder: Path) -> None:
    """Casts parameters to their types in the file.

    Buffers stay float32: rotary embeddings computed from rounded frequencies are other ones.
    """
    parameters = dict(model.named_parameters())
    for path in sorted(folder.glob(f"*{_WEIGHTS}")):
        with safe_open(str(path), framework="pt") as file:
            for name in parameters.keys() & set(file.keys()):
                parameters[name].data = parameters[name].data.to(file.get_tensor(name).dtype)


def refuse_code(folder: Path) -> None:
    """Refuses a Hugging Face folder that names code to run, or weights that could be code.

    Where it can, `transformers` ignores both, and then loads a different model.

    Raises:
        CompileError: if there is such a file, with its name and the fix.
    """
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CompileError(f"{file} is not JSON: {error}") from error
        if not isinstance(content, dict):
            continue
        if content.get("auto_map"):
            raise CompileError(
                f"{file} names its own code (auto_map): code that comes with a model is never "
                "run; choose a model whose architecture transformers has"
            )
        if file.name.endswith(".index.json"):
            for name in content.get("weight_map", {}).values():
                if Path(name).name != name or not name.endswith(_WEIGHTS):
                    raise CompileError(f"{file} names {name}: expected {_WEIGHTS} files beside it")
    if not any(folder.glob(f"*{_WEIGHTS}")):
        raise CompileError(
            f"{folder} has no {_WEIGHTS} file: pickled weights can run code and are refused; "
            "convert them to safetensors or choose another model"
        )


def longest_input(classifier: Any) -> int | None:
    """Returns the largest number of tokens that a classifier reads; None if it has no limit.

    RoBERTa and related models number positions from the padding token's id plus one, so the
    position embeddings up to that id stand for no token.
    """
    limit: int | None = getattr(classifier.config, "max_position_embeddings", None)
    embeddings = getattr(classifier.base_model, "embeddings", None)
    positions = getattr(embeddings, "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return limit if limit is None or padding is None else limit - padding - 1


def check_lengths(model: ScoredModel, sequence_lengths: Sequence[int]) -> None:
    """Checks that the model can read the compiled lengths.

    Raises:
        CompileError: if the longest one exceeds the model's limit.
    """
    longest = longest_input(model.classifier)
    if longest is not None and max(sequence_lengths) > longest:
        raise CompileError(
            f"compile.sequence_lengths: {max(sequence_lengths)} is over the {longest} tokens that "
            "the model reads"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the libraries' warnings, which are about their own internals."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
