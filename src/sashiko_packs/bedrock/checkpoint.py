"""The folder that Bedrock imports: written from a registered version, and checked before an upload.

A version's artifact holds a sequence classifier: the merged layers, and the answers' two rows of
the language model's head. The base model has the rest: the whole head, the tokenizer, the template.
"""

import datetime as dt
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sashiko.base.files import read_json, sha256_bytes, sha256_file, write_json
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.serving.compile_lock import CausalLock
from sashiko.serving.container.answers import Answered

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Fault:
    """One reason, found before anything is uploaded."""

    name: str  # the same each time, such as `architecture`
    problem: str  # what is wrong, where, and how to correct it

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


_FILE = Path(__file__).with_name("import_facts.yaml")


class ImportFacts(Frozen):
    """What the service takes, as its guide says."""

    source: str
    read: dt.date  # when the guide was read
    regions: tuple[str, ...] = Field(min_length=1)
    architectures: dict[str, str]  # class in `config.json` -> its family's name in the guide
    dtypes: tuple[str, ...]  # of tensors, in the names of safetensors


def read_import_facts() -> ImportFacts:
    """Reads the file that ships with the engine."""
    return validate(ImportFacts, read_yaml(_FILE), source=_FILE.name)


TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
# Named by transformers 5 alone; older versions cannot load a tokenizer of this class.
NEW_CLASS = "TokenizersBackend"


def tokenizer_faults(
    folder: Path, config: Mapping[str, Any], *, chat_template_sha256: str
) -> Iterator[Fault]:
    """Yields the faults of the tokenizer in a Hugging Face folder with a `config.json`.

    `chat_template_sha256` is of the template that the model was trained and judged with.
    """
    yield from _vocabulary_faults(folder / TOKENIZER_FILE, config)
    path = folder / TOKENIZER_CONFIG_FILE
    try:
        values = read_json(path)
    except InputError as error:
        yield Fault("tokenizer-config", f"{error}: take the base model's")
        return
    template = values.get("chat_template")
    if not isinstance(template, str) or not template:
        yield Fault(
            "chat-template",
            f"{path} has no chat_template: Bedrock could not render messages; choose a base model "
            "that was trained to follow instructions",
        )
        return
    digest = sha256_bytes(template.encode())
    if digest != chat_template_sha256:
        yield Fault(
            "chat-template-digest",
            f"{path}: the chat template has sha256 {digest}; the model was judged with "
            f"{chat_template_sha256}",
        )


def _vocabulary_faults(path: Path, config: Mapping[str, Any]) -> Iterator[Fault]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no class of its own
        yield Fault("tokenizer", f"{path} cannot be read ({error}): take the base model's")
        return
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    rows = config.get("vocab_size")
    if isinstance(rows, int) and largest >= rows:
        yield Fault(
            "token-ids",
            f"{path} has the token id {largest}, the model has embeddings for {rows}: it is "
            "another model's tokenizer",
        )


EMBEDDINGS = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
CLASSIFIER = "score.weight"
_WEIGHTS = ".safetensors"
# Weights in other formats, of which Bedrock takes none; most of them can run code when loaded.
_OTHER_WEIGHTS = frozenset(
    {".bin", ".ckpt", ".gguf", ".h5", ".joblib", ".msgpack", ".onnx", ".pickle", ".pkl", ".pt"}
) | {".pth"}


def weight_faults(folder: Path, facts: ImportFacts) -> Iterator[Fault]:
    """Yields the faults of the weights in a Hugging Face folder."""
    others = sorted(file.name for file in folder.iterdir() if file.suffix in _OTHER_WEIGHTS)
    if others:
        yield Fault(
            "other-weights",
            f"{folder} holds {', '.join(others)}: Bedrock imports only safetensors, and pickled "
            "weights can run code; delete them, or convert them to safetensors",
        )
    adapters = sorted(file.name for file in folder.glob("adapter_*"))
    if adapters:
        yield Fault(
            "adapter",
            f"{folder} holds {', '.join(adapters)}: Bedrock imports whole models; merge the "
            "adapter, as Compile does",
        )
    files = sorted(folder.glob(f"*{_WEIGHTS}"))
    if not files:
        yield Fault("no-safetensors", f"{folder} has no {_WEIGHTS} file: export the model again")
        return
    dtypes: set[str] = set()
    for file in files:
        try:
            dtypes |= read_dtypes(file)
        except InputError as error:
            yield Fault("damaged-weights", str(error))
            return
    other = sorted(dtypes - set(facts.dtypes))
    if other:
        yield Fault(
            "dtype",
            f"tensors of the type {', '.join(other)}: Bedrock takes {', '.join(facts.dtypes)}; "
            "export the model in float32",
        )


def read_dtypes(file: Path) -> set[str]:
    """Reads the types of a safetensors file's tensors, such as `F32`; InputError if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            names = opened.keys()
            return {opened.get_slice(name).get_dtype() for name in names}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} cannot be read ({error}): export the model again") from error


CONFIG_FILE = "config.json"
# S3Uri and ImportedModelName, CreateModelImportJob, Amazon Bedrock API Reference; names have at
# most 63 characters.
_URI = re.compile(
    r"s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](?:/[-!_*'().a-z0-9A-Z]+)*/?", flags=re.ASCII
)
_MODEL_NAME = re.compile(r"([0-9a-zA-Z][_-]?)+", flags=re.ASCII)
_LONGEST_NAME = 63
_LONGEST_URI = 1024
_OLD_LOCK = (
    "the compile lock does not say how often the model answers: an older engine compiled it; run "
    "the pipeline again, and import the new version"
)


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """Where a model goes, and what it was judged with."""

    uri: str  # S3 prefix of the folder
    region: str
    model_name: str  # of the imported model
    chat_template_sha256: str
    answered: Answered | None  # how often it answers; None in an older compile lock


def import_faults(folder: Path, plan: ImportPlan, facts: ImportFacts) -> list[Fault]:
    """Returns every fault of a Hugging Face folder that would be uploaded, and of its place."""
    answers = plan.answered.fault() if plan.answered else _OLD_LOCK
    return [
        *_place_faults(plan, facts),
        *([Fault("answers", answers)] if answers else []),
        *_folder_faults(folder, plan, facts),
    ]


def _place_faults(plan: ImportPlan, facts: ImportFacts) -> Iterator[Fault]:
    if plan.region not in facts.regions:
        yield Fault(
            "region",
            f"{plan.region} has no Custom Model Import (as of {facts.read}: "
            f"{', '.join(facts.regions)}): set `region` in config/<env>.yaml",
        )
    if not _URI.fullmatch(plan.uri) or len(plan.uri) > _LONGEST_URI:
        yield Fault(
            "s3-uri",
            f"{plan.uri} is no place that Bedrock reads: letters, digits and -!_*'(). between "
            "slashes, none of = + @ :",
        )
    if not _MODEL_NAME.fullmatch(plan.model_name) or len(plan.model_name) > _LONGEST_NAME:
        yield Fault(
            "model-name",
            f"{plan.model_name} ({len(plan.model_name)} characters) is no name that Bedrock takes: "
            f"at most {_LONGEST_NAME} letters, digits and single - or _ between them; shorten the "
            "recipe's `model_package_group`",
        )


def _folder_faults(folder: Path, plan: ImportPlan, facts: ImportFacts) -> Iterator[Fault]:
    code = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        try:
            code += [f"auto_map in {name}"] if read_json(folder / name).get("auto_map") else []
        except (AttributeError, InputError):
            continue  # another check is about files that cannot be read
    if code:
        yield Fault(
            "custom-code",
            f"{folder} brings its own code ({', '.join(code)}), which Bedrock does not run: "
            "choose a model whose architecture transformers has",
        )
    path = folder / CONFIG_FILE
    try:
        config = read_json(path)
        if not isinstance(config, Mapping):
            raise InputError(f"{path} is no JSON object")
    except InputError as error:
        yield Fault("config", f"{error}: export the model again")
        config = {}
    else:
        named = config.get("architectures") or []
        if len(named) != 1 or named[0] not in facts.architectures:
            yield Fault(
                "architecture",
                f"{path} names {', '.join(map(str, named)) or 'no architecture'}; Bedrock imports "
                f"{', '.join(facts.architectures)} (as of {facts.read}, {facts.source}): choose "
                "another base model, or serve this one from an endpoint",
            )
        if config.get("quantization_config"):
            yield Fault(
                "quantization",
                f"{path} has a quantization_config: Bedrock takes only {', '.join(facts.dtypes)} "
                "weights; export the model in float32",
            )
    yield from weight_faults(folder, facts)
    yield from tokenizer_faults(folder, config, chat_template_sha256=plan.chat_template_sha256)


EAGER = "eager"  # of an artifact: the merged classifier itself
_TEMPLATE_FILE = "chat_template.jinja"
_COPIED = (TOKENIZER_FILE, "special_tokens_map.json", "generation_config.json")
_SHARD = "4GB"  # S3 takes 5 GiB in one piece, with a checksum of the whole


def write_checkpoint(artifact: Path, base: Path, lock: CausalLock, folder: Path) -> None:
    """Writes a Hugging Face folder of a causal LM; equal inputs give equal bytes.

    `artifact` is the unpacked one of a version, `base` the base model's folder, `folder` an empty
    one. InputError if the artifact holds no model but a compiled graph, the base model is another
    one, or the artifact's head is not that of the base model.
    """
    if not (artifact / EAGER / CONFIG_FILE).is_file():
        raise InputError(
            "the artifact holds a compiled graph and no model: Bedrock imports versions whose "
            "recipe has `compile: {target: gpu}`, which keep the merged model"
        )
    for name, expected in lock.base.items():
        path = base / name
        if not path.is_file() or sha256_file(path) != expected:
            raise InputError(
                f"{path} is not the file that the version was merged with ({expected})"
            )
    tokenizer = base / TOKENIZER_FILE
    if sha256_file(tokenizer) != sha256_file(artifact / TOKENIZER_FILE):
        raise InputError(f"{tokenizer} is not the tokenizer of the artifact: take the other base")
    from huggingface_hub import save_torch_state_dict

    tensors = dict(sorted(_tensors(artifact / EAGER)))
    score = tensors.pop(CLASSIFIER, None)
    head = dict(_tensors(base, only=HEAD)).get(HEAD)
    if head is not None:
        tensors[HEAD] = head.float()
    rows = tensors[EMBEDDINGS] if head is None else tensors[HEAD]
    if score is None or not score.equal(rows[list(lock.answers)].float()):
        raise InputError(
            f"the artifact's {CLASSIFIER} is not the answers' rows of the base model's head: the "
            "imported model would answer otherwise than the judged one"
        )
    save_torch_state_dict(tensors, str(folder), max_shard_size=_SHARD, metadata={"format": "pt"})
    values = read_json(base / CONFIG_FILE)
    config = {**values, "torch_dtype": "float32", "dtype": "float32"}
    # In the words of transformers 4 too, as Bedrock does not say which version reads the folder.
    rope = dict(values.get("rope_parameters") or {})
    theta = rope.pop("rope_theta", None)
    if theta is not None:
        config["rope_theta"] = theta
    if rope.get("rope_type", "default") != "default":
        config["rope_scaling"] = rope
    write_json(folder / CONFIG_FILE, config)
    write_json(folder / TOKENIZER_CONFIG_FILE, _tokenizer_config(base))
    for name in _COPIED:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _tokenizer_config(base: Path) -> dict[str, Any]:
    values: dict[str, Any] = read_json(base / TOKENIZER_CONFIG_FILE)
    if values.get("tokenizer_class") == NEW_CLASS:
        values["tokenizer_class"] = "PreTrainedTokenizerFast"
    template = base / _TEMPLATE_FILE
    # A file of its own is newer than some readers.
    if template.is_file():
        values["chat_template"] = template.read_text(encoding="utf-8")
    return values


def _tensors(folder: Path, *, only: str | None = None) -> "Iterator[tuple[str, torch.Tensor]]":
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    if only in (None, name):
                        yield name, file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
