"""A causal LM with a LoRA adapter, which classifies by the score of its answers' tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sashiko.base.files import canonical_json, sha256_file, walk_files, write_bytes
from sashiko.errors import InputError
from sashiko.serving.container.prompt import Prompt, write_prompt
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.encoder import check_length, load_pretrained
from sashiko.training.folders import publish

if TYPE_CHECKING:
    import torch

# Their heads are one linear layer without a bias, and nothing changes its output: its rows give the
# LM's logits.
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
_HEAD = "lm_head.weight"
_CONFIG_FILE = "config.json"


def load_causal(
    folder: Path,
    *,
    labels: tuple[str, str],
    hyperparameters: Hyperparameters,
    attention: str | None,
) -> Any:
    """Loads a causal LM in float32, and puts an adapter into it.

    Args:
        folder: a Hugging Face model folder with safetensors weights.
        labels: the (negative, positive) label; classes 0 and 1.
        hyperparameters: dropout, the adapter and the longest sequence.
        attention: `eager`, or None for the fused one.

    Returns:
        A `LastTokenClassifier` whose classes are the tokens of the vocabulary: its head is the
        whole head of the LM. Only the adapter's matrices are trained.

    Raises:
        InputError: if loading could run code, the architecture is not one of `ARCHITECTURES`, the
            weights cannot be read, or the adapter does not fit the model.
    """
    from sashiko.serving.container.classifier import READS_LAST, LastTokenClassifier

    model = load_pretrained(
        folder,
        labels=labels,
        dropout=hyperparameters.dropout,
        attention=attention,
        architectures=ARCHITECTURES,
        marks={READS_LAST: True},
    )
    check_length(model, hyperparameters.max_length)
    model.score = _linear(_head(model, folder))
    model.requires_grad_(False)
    _add_adapter(model, hyperparameters)
    return LastTokenClassifier(model)


def keep_answers(model: Any, answers: tuple[int, int]) -> None:
    """Reduces the head to the answers' two rows, which is what is calibrated, saved and served.

    Args:
        model: of `load_causal`, trained; changed in place.
        answers: token ids of the negative and the positive answer.
    """
    rows = model.model.score.weight.detach()[list(answers)].clone()
    model.model.score = _linear(rows).requires_grad_(False)


def save_adapter(model: Any, prompt: Prompt, base: Path, folder: Path) -> None:
    """Writes adapter, head, prompt, configuration, tokenizer and the digests of the base model.

    Adapter and head have the format of peft's sequence classifiers.

    Args:
        model: of `load_causal`, after `keep_answers`.
        prompt: its prompt.
        base: the folder of the base model.
        folder: where the files go.

    Raises:
        InputError: if they cannot be written.
    """
    with publish(folder) as temporary:
        _write_adapter(model.model, temporary)
        write_prompt(prompt, temporary)
        write_bytes(temporary / _CONFIG_FILE, _config(model.model))
        for name in _tokenizer_files(base):
            (temporary / name).write_bytes((base / name).read_bytes())
        digests = {
            path.relative_to(base).as_posix(): sha256_file(path) for path in walk_files(base)
        }
        (temporary / "base.json").write_bytes(canonical_json(digests))


def _config(model: Any) -> bytes:
    """Returns `config.json`, with the rotary base where older versions of transformers read it.

    The images of the targets gpu and inf2 have version 4, which would take its default instead.
    """
    values = {**model.config.to_diff_dict(), "architectures": [type(model).__name__]}
    theta = (values.get("rope_parameters") or {}).get("rope_theta")
    return canonical_json(values if theta is None else {**values, "rope_theta": theta})


def _tokenizer_files(base: Path) -> Iterator[str]:
    """Yields the names of the files beside weights and configuration, unchanged from the base."""
    for path in base.iterdir():
        is_weights = path.suffix == ".safetensors" or path.name.endswith(".index.json")
        if path.is_file() and path.name != _CONFIG_FILE and not is_weights:
            yield path.name


def _head(model: Any, folder: Path) -> "torch.Tensor":
    """Returns the weights of the LM's head, float32, (vocabulary, width).

    A head that is tied to the embeddings is their own tensor, so that it takes no memory.
    """
    if model.config.tie_word_embeddings:
        weight: torch.Tensor = model.get_input_embeddings().weight
        return weight
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if _HEAD in file.keys():  # noqa: SIM118 - not a mapping
                head: torch.Tensor = file.get_tensor(_HEAD).float()
                return head
    raise InputError(f"{folder}: the weights lack {_HEAD}, and it is not tied to the embeddings")


def _linear(weight: "torch.Tensor") -> "torch.nn.Linear":
    """Returns a layer without a bias that has these weights, not a copy of them."""
    import torch

    outputs, inputs = weight.shape
    layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    layer.weight = weight if isinstance(weight, torch.nn.Parameter) else torch.nn.Parameter(weight)
    return layer


def _add_adapter(model: Any, hyperparameters: Hyperparameters) -> None:
    """Puts LoRA matrices beside the chosen layers, in place."""
    from peft import LoraConfig, inject_adapter_in_model

    lora = hyperparameters.lora
    if lora is None:
        raise InputError("hyperparameter lora is missing: a causal LM is trained by an adapter")
    count = model.config.num_hidden_layers
    layers = lora.layers or count
    if layers > count:
        raise InputError(f"train.lora.layers is {layers}, the model has {count}: lower it")
    linear = _linear_names(model)
    unknown = sorted(set(lora.target_modules) - linear)
    if unknown:
        raise InputError(
            f"train.lora.target_modules names {', '.join(unknown)}; the model's linear layers are "
            f"{', '.join(sorted(linear))}"
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=hyperparameters.dropout,
        target_modules=list(lora.target_modules),
        layers_to_transform=list(range(count - layers, count)),
        layers_pattern="layers",
    )
    inject_adapter_in_model(config, model)


def _linear_names(model: Any) -> set[str]:
    from torch.nn import Linear

    return {
        name.rpartition(".")[2]
        for name, module in model.base_model.named_modules()
        if isinstance(module, Linear)
    }


def _write_adapter(model: Any, folder: Path) -> None:
    """Writes `adapter_model.safetensors` and `adapter_config.json`, the same bytes each time."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = {
        **get_peft_model_state_dict(model, save_embedding_layers=False),
        "score.weight": model.score.weight,
    }
    tensors = {
        f"base_model.model.{name}": value.detach().cpu().contiguous()
        for name, value in state.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    values = dict(_config_values(model.peft_config["default"]))
    content = {**values, "task_type": "SEQ_CLS", "modules_to_save": ["score"]}
    (folder / "adapter_config.json").write_bytes(canonical_json(content))


def _config_values(config: Any) -> Iterator[tuple[str, Any]]:
    for name, value in config.to_dict().items():
        yield name, sorted(value) if isinstance(value, set) else value
