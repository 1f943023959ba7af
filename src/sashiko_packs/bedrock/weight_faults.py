"""Faults of a model's weights, from the headers of its safetensors files; no tensor is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko_packs.bedrock.faults import Fault
from sashiko_packs.bedrock.import_facts import ImportFacts

EMBEDDINGS = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
CLASSIFIER = "score.weight"
INDEX_FILE = "model.safetensors.index.json"
_WEIGHTS = ".safetensors"
# Weights in other formats, of which Bedrock takes none; most of them can run code when loaded.
_OTHER_WEIGHTS = frozenset(
    {".bin", ".ckpt", ".gguf", ".h5", ".joblib", ".msgpack", ".onnx", ".pickle", ".pkl", ".pt"}
) | {".pth"}


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry in a header."""

    dtype: str  # as safetensors names it, such as `F32`
    shape: tuple[int, ...]


def weight_faults(folder: Path, config: Mapping[str, Any], facts: ImportFacts) -> Iterator[Fault]:
    """Yields the faults of the weights in a Hugging Face folder.

    Args:
        folder: the folder.
        config: its `config.json`.
        facts: what the service takes.
    """
    yield from _format_faults(folder)
    files = sorted(folder.glob(f"*{_WEIGHTS}"))
    if not files:
        yield Fault("no-safetensors", f"{folder} has no {_WEIGHTS} file: export the model again")
        return
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= read_header(file)
        except InputError as error:
            yield Fault("damaged-weights", str(error))
            return
    yield from _index_faults(folder, files)
    yield from _dtype_faults(tensors, facts)
    yield from _tensor_faults(tensors, config)


def read_header(file: Path) -> dict[str, Tensor]:
    """Reads name -> entry of each tensor in a safetensors file.

    Raises:
        InputError: if the file is damaged or cut.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            names = opened.keys()
            slices = [opened.get_slice(name) for name in names]
            return {
                name: Tensor(part.get_dtype(), tuple(part.get_shape()))
                for name, part in zip(names, slices, strict=True)
            }
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} cannot be read ({error}): export the model again") from error


def _format_faults(folder: Path) -> Iterator[Fault]:
    others = sorted(file.name for file in folder.iterdir() if file.suffix in _OTHER_WEIGHTS)
    if others:
        yield Fault(
            "other-weights",
            f"{folder} holds {', '.join(others)}: Bedrock imports safetensors alone, and pickled "
            "weights can run code; delete them, or convert them to safetensors",
        )
    adapters = sorted(file.name for file in folder.glob("adapter_*"))
    if adapters:
        yield Fault(
            "adapter",
            f"{folder} holds {', '.join(adapters)}: Bedrock imports whole models; merge the "
            "adapter, as Compile does",
        )


def _index_faults(folder: Path, files: list[Path]) -> Iterator[Fault]:
    index = folder / INDEX_FILE
    if not index.exists():
        if len(files) > 1:
            yield Fault(
                "index", f"{folder} has {len(files)} shards and no {INDEX_FILE}: export it again"
            )
        return
    names = {file.name for file in files}
    try:
        listed = set(read_json(index)["weight_map"].values())
    except (InputError, AttributeError, KeyError, TypeError):
        yield Fault("index", f"{index} is not an index of shards: export the model again")
        return
    problems = [f"names {name}, which is not there" for name in sorted(listed - names)]
    problems += [f"does not name {name}" for name in sorted(names - listed)]
    if problems:
        yield Fault("index", f"{index} {', and '.join(problems)}: export the model again")


def _dtype_faults(tensors: Mapping[str, Tensor], facts: ImportFacts) -> Iterator[Fault]:
    other = sorted({item.dtype for item in tensors.values()} - set(facts.dtypes))
    if other:
        yield Fault(
            "dtype",
            f"tensors of the type {', '.join(other)}: Bedrock takes {', '.join(facts.dtypes)}; "
            "export the model in float32",
        )


def _tensor_faults(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Iterator[Fault]:
    if CLASSIFIER in tensors:
        yield Fault(
            "classifier",
            f"the weights hold {CLASSIFIER}: it is a sequence classifier, and Bedrock serves "
            "language models; export it with its language model's head",
        )
    tied = config.get("tie_word_embeddings", False)
    if not tied and HEAD not in tensors:
        yield Fault(
            "head",
            f"the weights lack {HEAD}, and config.json does not tie it to the embeddings: it "
            "would be random",
        )
    layers = {name.split(".")[2] for name in tensors if name.startswith("model.layers.")}
    if len(layers) != config.get("num_hidden_layers"):
        yield Fault(
            "layers",
            f"the weights have {len(layers)} layers, config.json names "
            f"{config.get('num_hidden_layers')}: a shard is missing, or it is another model's file",
        )
    embeddings = tensors.get(EMBEDDINGS)
    if embeddings is None or embeddings.shape[0] != config.get("vocab_size"):
        rows = "none" if embeddings is None else embeddings.shape[0]
        yield Fault(
            "vocabulary",
            f"{EMBEDDINGS} has {rows} rows, config.json's vocab_size is "
            f"{config.get('vocab_size')}: it is another model's file",
        )
