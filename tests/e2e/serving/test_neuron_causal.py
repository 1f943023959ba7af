"""Target inf2-causal: all but compiler, runtime and chip, by a stand-in for optimum-neuron 0.4.1.

The stand-in takes the arguments that the release takes, and computes as its modeling_decoder.py
does: the token with the largest position, the LM's whole head, logits of (batch, 1, vocabulary).
"""

import json
import shutil
import types
from pathlib import Path
from typing import Any

import compile_model
import inference
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from sashiko.serving.artifact import open_artifact
from sashiko.serving.inspection import unpack
from tests.e2e.serving import neuron_image
from tests.e2e.serving.compile_job import job
from tests.unit.training.tiny_llama import save_llama, save_trained_adapter

TEXTS = ["the desk was kind", "my letter was rude and slow", "a loan", "rude " * 30, "x", "slow"]
LABELS = ("bad", "good")


class NeuronModelForCausalLM:
    """What optimum-neuron's class does, by transformers on a CPU."""

    def __init__(self, folder: str, settings: types.SimpleNamespace) -> None:
        self.folder, self.settings = folder, settings
        self.model: Any = None

    @classmethod
    def get_neuron_config(  # noqa: PLR0917 - the release's
        cls, model_name_or_path: str, config: Any = None, token: Any = None, revision: Any = None,
        instance_type: str | None = None, batch_size: int | None = None,
        sequence_length: int | None = None, tensor_parallel_size: int | None = None,
    ) -> types.SimpleNamespace:  # fmt: skip
        assert instance_type == "inf2"
        return types.SimpleNamespace(
            batch_size=batch_size, sequence_length=sequence_length, tp_degree=tensor_parallel_size,
            on_device_sampling=True, continuous_batching=(batch_size or 1) > 1,
        )  # fmt: skip

    @classmethod
    def export(  # noqa: PLR0917 - the release's
        cls, model_id: str, neuron_config: Any, config: Any = None, token: Any = None,
        revision: Any = None, load_weights: bool = False,
    ) -> "NeuronModelForCausalLM":  # fmt: skip
        assert not load_weights
        return cls(model_id, neuron_config)

    def save_pretrained(self, save_directory: str) -> None:
        shutil.copytree(self.folder, Path(save_directory) / "checkpoint")
        shutil.copy(Path(self.folder) / "config.json", save_directory)
        torch.jit.save(torch.jit.script(torch.nn.Identity()), Path(save_directory) / "model.pt")
        path = Path(save_directory) / "neuron_config.json"
        path.write_text(json.dumps(vars(self.settings)))

    @classmethod
    def from_pretrained(
        cls, model_id: str, *, local_files_only: bool, trust_remote_code: bool
    ) -> "NeuronModelForCausalLM":
        assert local_files_only
        assert not trust_remote_code
        assert (Path(model_id) / "model.pt").is_file()
        settings = json.loads((Path(model_id) / "neuron_config.json").read_text())
        made = cls(model_id, types.SimpleNamespace(**settings))
        made.model = AutoModelForCausalLM.from_pretrained(
            Path(model_id) / "checkpoint", attn_implementation="eager"
        ).eval()
        return made

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, seq_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> types.SimpleNamespace:  # fmt: skip
        shape = (self.settings.batch_size, self.settings.sequence_length)
        assert not self.settings.on_device_sampling  # or it would return tokens
        assert not self.settings.continuous_batching
        assert tuple(input_ids.shape) == tuple(position_ids.shape) == shape
        assert position_ids.min().item() == 0  # else it would be read as the next token
        states = self.model.model(input_ids).last_hidden_state  # causal, as its own mask
        index = torch.max(position_ids, dim=1, keepdim=True).indices
        index = index.unsqueeze(1).expand(shape[0], 1, states.shape[-1])
        return types.SimpleNamespace(logits=self.model.lm_head(states.gather(1, index)).float())


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    neuron_image.install(monkeypatch, folder)
    align = {"align_compilation_target": lambda target, override: target}
    contents: dict[str, dict[str, Any]] = {
        "optimum": {},
        "optimum.neuron": {"NeuronModelForCausalLM": NeuronModelForCausalLM},
        "optimum.neuron.utils": {},
        "optimum.neuron.utils.instance": align,
    }
    neuron_image.install_modules(monkeypatch, contents)
    for name in ("BASE_COMPILE_WORK_DIR", "HF_ENDPOINT"):
        monkeypatch.setenv(name, "")  # restored after the test
    monkeypatch.setenv("SERVING_IMAGE", "neuronx:1")
    monkeypatch.setenv("NEURON_COMPILER", neuron_image.COMPILER)
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.5")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A base model whose rotations are not transformers' default, and an adapter of it."""
    folder = tmp_path_factory.mktemp("trained")
    rotations = {"rope_type": "default", "rope_theta": 100_000.0}
    save_llama(folder / "llama", TEXTS, rope_parameters=rotations)
    save_trained_adapter(folder / "llama", folder / "adapter", labels=LABELS)
    return folder / "llama", folder / "adapter"


@pytest.fixture
def image(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path / "image")


def compiled(
    monkeypatch: pytest.MonkeyPatch, root: Path, trained: tuple[Path, Path], **changes: Any
) -> Path:
    base, adapter = trained
    shape = {"batch_sizes": [4], "sequence_lengths": [64]}
    job(root, adapter, target="inf2-causal", truncate=True, **shape | changes)
    shutil.copytree(base, root / "processing/input/base")
    monkeypatch.setenv("OPT_ML", str(root))
    compile_model.main()
    return root / "processing" / "output"


@pytest.fixture(scope="module")
def archive(trained, tmp_path_factory):
    """What a job with the defaults writes."""
    root = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, root / "image")
        return compiled(patch, root / "job", trained) / "artifact" / "model.tar.gz"


def test_the_decoder_gives_the_scores_of_three_answers(image, monkeypatch, trained, tmp_path):
    labels = ("bad", "good", "Zürich")
    save_trained_adapter(trained[0], tmp_path / "adapter", labels=labels)
    output = compiled(monkeypatch, tmp_path / "job", (trained[0], tmp_path / "adapter"))
    archive = output / "artifact" / "model.tar.gz"
    with open_artifact(archive, threshold=0.0, on_cpu=True) as artifact:
        judged = artifact.predict(TEXTS)
    unpack(archive, tmp_path / "served")
    model = inference.model_fn(str(tmp_path / "served"))
    body = json.dumps({"inputs": TEXTS})
    answers = json.loads(inference.transform_fn(model, body, "application/json", None))
    assert [answer["label"] for answer in answers] == [answer.label for answer in judged]
    for answer, judged_answer in zip(answers, judged, strict=True):
        scores = dict(zip(labels, judged_answer.scores, strict=True))
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_the_decoder_gives_the_judged_scores(image, archive, tmp_path):
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        judged = [answer.score for answer in artifact.predict(TEXTS)]
    unpack(archive, tmp_path / "served")
    model = inference.model_fn(str(tmp_path / "served"))
    body = json.dumps({"inputs": TEXTS, "ids": [*"abcdef"]})
    answers = json.loads(inference.transform_fn(model, body, "application/json", None))
    assert [answer["id"] for answer in answers] == [*"abcdef"]
    assert [answer["score"] for answer in answers] == pytest.approx(judged, abs=1e-5)
    assert max(judged) - min(judged) > 0.01  # or any constant would do


@pytest.mark.slow
def test_the_lock_says_what_serves_it_and_in_which_type(image, monkeypatch, tmp_path, trained):
    output = compiled(monkeypatch, tmp_path / "job", trained, dtype="bfloat16", tolerance=0.1)
    lock = json.loads((output / "lock" / "compile-lock.json").read_text())
    assert (lock["target"], lock["dtype"], lock["cores"]) == ("inf2-causal", "bfloat16", 1)
    assert neuron_image.PACKAGES.items() <= lock["packages"].items()
    assert {"decoder/neuron_config.json", "decoder/model.neuron"} <= set(lock["artifact"])
    assert lock["weights_sha256"] == lock["artifact"]["eager/model.safetensors"]


def test_transformers_4_reads_the_same_rotations(archive, tmp_path):
    unpack(archive, tmp_path / "served")
    for folder in ("eager", "decoder"):
        config = json.loads((tmp_path / "served" / folder / "config.json").read_text())
        # Its name in 4; 5 has only the second, which 4 ignores.
        assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 100_000.0
        assert config["rope_scaling"] is None
        read = AutoConfig.from_pretrained(tmp_path / "served" / folder)
        assert read.rope_parameters["rope_theta"] == 100_000.0
    assert config["torch_dtype"] == "float32"


def test_more_than_one_shape_is_refused(image, monkeypatch, tmp_path, trained):
    with pytest.raises(SystemExit, match=r"name one of compile\.batch_sizes"):
        compiled(monkeypatch, tmp_path / "job", trained, batch_sizes=[1, 4])
