"""A causal LM with a LoRA adapter, which classifies by the score of its answers' tokens."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sashiko.base.files import canonical_json, sha256_file, walk_files, write_bytes
from sashiko.errors import InputError
from sashiko.serving.container.prompt import Prompt, write_prompt
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.encoder import check_length, load_pretrained, publish

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
    labels: tuple[str, ...],
    hyperparameters: Hyperparameters,
    attention: str | None,
) -> Any:
    """Loads a causal LM in float32, and puts an adapter into it; see `load_classifier`.

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


def keep_answers(model: Any, answers: tuple[int, ...]) -> None:
    """Reduces the head of a trained model of `load_causal` to the answers' rows, in place.

    This is what is calibrated, saved and served. `answers` are token ids, in the classes' order.
    """
    rows = model.model.score.weight.detach()[list(answers)].clone()
    model.model.score = _linear(rows).requires_grad_(False)


def save_adapter(model: Any, prompt: Prompt, base: Path, folder: Path) -> None:
    """Writes adapter, head, prompt, configuration, tokenizer and the digests of the base model.

    Adapter and head have the format of peft's sequence classifiers. The files beside the base
    model's weights and configuration are copied unchanged. `model` is of `keep_answers`.

    Raises:
        InputError: if they cannot be written.
    """
    # The rotary base stands where older versions of transformers read it: the images of the targets
    # gpu and inf2 have version 4, which would take its default instead.
    config = {**model.model.config.to_diff_dict(), "architectures": [type(model.model).__name__]}
    theta = (config.get("rope_parameters") or {}).get("rope_theta")
    if theta is not None:
        config["rope_theta"] = theta
    with publish(folder) as temporary:
        _write_adapter(model.model, temporary)
        write_prompt(prompt, temporary)
        write_bytes(temporary / _CONFIG_FILE, canonical_json(config))
        for path in base.iterdir():
            is_weights = path.suffix == ".safetensors" or path.name.endswith(".index.json")
            if path.is_file() and path.name != _CONFIG_FILE and not is_weights:
                (temporary / path.name).write_bytes(path.read_bytes())
        digests = {
            path.relative_to(base).as_posix(): sha256_file(path) for path in walk_files(base)
        }
        (temporary / "base.json").write_bytes(canonical_json(digests))


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
    # The layer has these weights, not a copy of them.
    import torch

    outputs, inputs = weight.shape
    layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    layer.weight = weight if isinstance(weight, torch.nn.Parameter) else torch.nn.Parameter(weight)
    return layer


def _add_adapter(model: Any, hyperparameters: Hyperparameters) -> None:
    from peft import LoraConfig, inject_adapter_in_model
    from torch.nn import Linear

    lora = hyperparameters.lora
    if lora is None:
        raise InputError("hyperparameter lora is missing: a causal LM is trained by an adapter")
    count = model.config.num_hidden_layers
    layers = lora.layers or count
    if layers > count:
        raise InputError(f"train.lora.layers is {layers}, the model has {count}: lower it")
    named = model.base_model.named_modules()
    linear = {name.rpartition(".")[2] for name, part in named if isinstance(part, Linear)}
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


def _write_adapter(model: Any, folder: Path) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    state["score.weight"] = model.score.weight
    tensors = {
        f"base_model.model.{name}": value.detach().cpu().contiguous()
        for name, value in state.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    values = model.peft_config["default"].to_dict().items()
    content = {key: sorted(item) if isinstance(item, set) else item for key, item in values}
    content |= {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}
    (folder / "adapter_config.json").write_bytes(canonical_json(content))
