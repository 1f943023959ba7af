"""The checks of a model folder and its place before an import; they call nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko.serving.container.answers import Answered
from sashiko_packs.bedrock.faults import Fault
from sashiko_packs.bedrock.import_facts import ImportFacts
from sashiko_packs.bedrock.tokenizer_faults import TOKENIZER_CONFIG_FILE, tokenizer_faults
from sashiko_packs.bedrock.weight_faults import weight_faults

CONFIG_FILE = "config.json"
# S3Uri and ImportedModelName, CreateModelImportJob, Amazon Bedrock API Reference; names have at
# most 63 characters.
_URI = re.compile(
    r"s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](?:/[-!_*'().a-z0-9A-Z]+)*/?", flags=re.ASCII
)
_MODEL_NAME = re.compile(r"([0-9a-zA-Z][_-]?)+", flags=re.ASCII)
_LONGEST_NAME = 63
_LONGEST_URI = 1024


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """Where a model goes, and what it was judged with."""

    uri: str  # S3 prefix of the folder
    region: str
    model_name: str  # of the imported model
    chat_template_sha256: str
    answered: Answered | None  # how often it answers; None in an older compile lock


def import_faults(folder: Path, plan: ImportPlan, facts: ImportFacts) -> list[Fault]:
    """Returns every fault of a Hugging Face folder and of its place.

    Args:
        folder: what would be uploaded.
        plan: where it would go.
        facts: what the service takes.
    """
    return [
        *_place_faults(plan, facts),
        *_answer_faults(plan.answered),
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


def _answer_faults(answered: Answered | None) -> Iterator[Fault]:
    problem = (
        "the compile lock does not say how often the model answers: an older engine compiled it; "
        "run the pipeline again, and import the new version"
        if answered is None
        else answered.fault()
    )
    if problem:
        yield Fault("answers", problem)


def _folder_faults(folder: Path, plan: ImportPlan, facts: ImportFacts) -> Iterator[Fault]:
    yield from _code_faults(folder)
    path = folder / CONFIG_FILE
    try:
        config = read_json(path)
        if not isinstance(config, Mapping):
            raise InputError(f"{path} is no JSON object")
    except InputError as error:
        yield Fault("config", f"{error}: export the model again")
        config = {}
    else:
        yield from _config_faults(config, path, facts)
    yield from weight_faults(folder, config, facts)
    yield from tokenizer_faults(folder, config, chat_template_sha256=plan.chat_template_sha256)


def _code_faults(folder: Path) -> Iterator[Fault]:
    code = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        try:
            code += [f"auto_map in {name}"] if read_json(folder / name).get("auto_map") else []
        except (AttributeError, InputError):
            continue  # another check is about files that cannot be read
    if code:
        yield Fault(
            "custom-code",
            f"{folder} brings code of its own ({', '.join(code)}), which Bedrock does not run: "
            "choose a model whose architecture transformers has",
        )


def _config_faults(config: Mapping[str, Any], path: Path, facts: ImportFacts) -> Iterator[Fault]:
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
            f"{path} has a quantization_config: Bedrock takes {', '.join(facts.dtypes)} weights "
            "alone; export the model in float32",
        )
    rope = config.get("rope_parameters")
    if rope is not None and config.get("rope_theta") != rope.get("rope_theta"):
        yield Fault(
            "rope",
            f"{path} has the rotary base in rope_parameters alone, as transformers 5 writes it; "
            "older versions read rope_theta, and would take their default: write both",
        )
