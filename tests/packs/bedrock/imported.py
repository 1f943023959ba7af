"""An account with a registered version of a causal LM, and Bedrock beside it."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from moto import mock_aws
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from sashiko.account.endpoint_spec import endpoint_name, endpoint_spec
from sashiko.account.names import bucket_name, key_alias
from sashiko.base.aws_calls import Clients
from sashiko.base.files import read_json, sha256_file, walk_files, write_json
from sashiko.cli import app
from sashiko.serving.compile_lock import CausalLock
from sashiko.serving.container.answers import Answered
from sashiko.serving.container.pack import pack
from sashiko.serving.container.prompt import Prompt
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_train import PromptSection
from sashiko.training.encoder import load_tokenizer
from sashiko.training.trainee import make_prompt
from sashiko_packs.bedrock import commands
from sashiko_packs.bedrock.checkpoint import ImportPlan
from tests.infra.variants import recipes_of, settings_of
from tests.packs.bedrock.loopback import Bedrock, served
from tests.unit.account.two_accounts import registrar_of
from tests.unit.registry.model_packages.account import Account, furnished
from tests.unit.registry.model_packages.gathered import seal
from tests.unit.registry.preflight.registered import TAGS, write_evidence
from tests.unit.training.tiny_llama import CHAT_TEMPLATE_SHA256, prompt, save_base

SETTINGS: Settings = settings_of("serving")
THRESHOLD = 0.43


@dataclass
class World:
    account: Account  # with a registered version of a causal LM
    recipe: Recipe  # of the version
    bedrock: Bedrock  # the service
    home: Path  # local state
    base: Path  # the base model
    # What DeviceCheck judged: name of an input -> its digest.
    judged: dict[str, str] = field(default_factory=dict)

    def sashiko(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["model", "bedrock", *arguments, "--env", "dev"])

    def import_(self) -> Result:
        return self.sashiko("import", "1", "--home", str(self.home))

    def uploaded(self) -> set[str]:
        return {name for name in self.account.objects() if name.startswith("bedrock/")}

    @property
    def places(self) -> dict[str, str]:
        """Where the run keeps its test split, and what the version was judged by."""
        runs = f"s3://{self.account.bucket}/runs/x"
        return {"test_uri": f"{runs}/Prepare/test", "reference_uri": f"{runs}/Evaluate/metrics"}

    def register(
        self, root: Path, *, status: str = "Approved", artifact: Path | None = None, **lock: Any
    ) -> None:
        root.mkdir()
        archive = root / "model.tar.gz"
        pack(artifact or save_artifact(root / "artifact", self.base), archive)
        spec = endpoint_spec(SETTINGS, "gpu")
        content = {
            "target": "gpu",
            "image": spec.image.uri.rpartition("/")[2],
            "causal": lock_of(self.base).model_dump(),
        }
        evidence = write_evidence(root, lock=content | lock, artifact=archive.read_bytes())
        device = evidence / "device/verdict.json"
        write_json(device, {**read_json(device), "inputs": self.judged})
        seal(evidence)
        version, _ = registrar_of(self.account, SETTINGS, target="gpu").register(
            self.account.group,
            files=evidence,
            run_id="r",
            threshold=THRESHOLD,
            tags=TAGS | self.places,
        )
        self.account.decide(version.version, status)


@contextmanager
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account in moto beside Bedrock on this machine; nothing is registered yet."""
    base = save_base(tmp_path / "base")
    model = ModelSection(
        name="Tiny",
        family="causal",
        sources=[{"kind": "file", "path": str(base)}],
        files={file.name: sha256_file(file) for file in base.iterdir()},
    )
    (shipped,) = recipes_of(SETTINGS)
    recipe = shipped.model_copy(
        update={
            "model": model,
            "model_package_group": "triage-llm",
            "compile": shipped.compile.model_copy(update={"target": "gpu"}),
        }
    )
    monkeypatch.setattr(commands, "load_settings", lambda _: SETTINGS)
    monkeypatch.setattr(commands, "load_deployed", lambda _: SETTINGS)
    monkeypatch.setattr(commands, "choose_recipe", lambda *_: recipe)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", SETTINGS.account)
    state = Bedrock(polls=0)
    with mock_aws(), served(state) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", url)
        session = boto3.Session(region_name=SETTINGS.region)
        clients = Clients(**{name: session.client(name) for name in ("sagemaker", "s3", "kms")})
        account = Account(
            clients,
            bucket=bucket_name(SETTINGS, "artifacts"),
            group=endpoint_name(SETTINGS, recipe),
        )
        furnished(account, key=key_alias(SETTINGS, "signing"), where={})
        yield World(account, recipe, state, tmp_path / "home", base)


ANSWERS = (7, 9)
LENGTH = 96  # tokens of the longest row
PLAN = ImportPlan(
    uri="s3://sashiko-dev-artifacts-111122223333-us-east-1/bedrock/0123456789abcdef",
    region="us-east-1",
    model_name="sashiko-dev-complaint-triage-llm-v3",
    chat_template_sha256=CHAT_TEMPLATE_SHA256,
    answered=Answered(rows=300, missed=3),
)


def save_artifact(folder: Path, base: Path) -> Path:
    """Writes what an accelerator's artifact keeps of a model whose adapter changed one layer."""
    eager = folder / "eager"
    eager.mkdir(parents=True)
    tensors = load_file(base / "model.safetensors")
    head = tensors.pop("lm_head.weight", tensors["model.embed_tokens.weight"])
    tensors["score.weight"] = head[list(ANSWERS)].clone()
    tensors["model.layers.1.self_attn.q_proj.weight"] += 0.01
    save_file(tensors, eager / "model.safetensors", metadata={"format": "pt"})
    config = read_json(base / "config.json")
    write_json(
        eager / "config.json", {**config, "architectures": ["LlamaForSequenceClassification"]}
    )
    made = make_prompt(
        PromptSection.model_validate(prompt("bad", "good")),
        load_tokenizer(base),
        labels=("bad", "good"),
        chat_template_sha256=CHAT_TEMPLATE_SHA256,
        max_length=LENGTH,
        source=base,
    )
    write_serving(folder, base, replace(made, answers=ANSWERS))
    return folder


def write_serving(folder: Path, base: Path, prompt: Prompt) -> None:
    """Writes what an artifact has beside the model itself."""
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    serving = {
        "target": "gpu",
        "labels": ["bad", "good"],
        "truncate": True,
        "buckets": [{"batch": 1, "length": LENGTH, "graph": ""}],
        "prompt": asdict(prompt),
    }
    write_json(folder / "serving.json", serving)


def lock_of(base: Path) -> CausalLock:
    """What the compile lock says of a version that was merged with this base model."""
    return CausalLock(
        base={file.relative_to(base).as_posix(): sha256_file(file) for file in walk_files(base)},
        adapter_sha256="a" * 64,
        merge_difference=0.0,
        answered=Answered(rows=300, missed=3),
        answers=ANSWERS,
        chat_template_sha256=CHAT_TEMPLATE_SHA256,
    )


@functools.cache
def _load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()


def logits(folder: Path, ids: list[int]) -> torch.Tensor:
    """The logits of the next token, by transformers' own reading of a folder."""
    model = _load(folder)
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits
