"""Encoders of several families, small and random: each is trained, compiled, served, explained."""

import json
import sys

import compile_model
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from sashiko.errors import InputError
from sashiko.explain.attribution import ExplainedModel
from sashiko.explain.tokens import read_tokens
from sashiko.serving.artifact import open_artifact
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.steps import train
from sashiko.training import machine
from sashiko.training.encoder import load_classifier
from tests.e2e.serving.compile_job import job
from tests.unit.training.tiny_families import FAMILIES, save_encoder
from tests.unit.training.tiny_job import save_job

_TEXTS = ["the desk was kind", "a", "my very rude letter and the loan was lost", "quick"]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Runs Train on an encoder of a family; gives the folder of the job."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["train"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(family: str, **hyperparameters: str):
        save_encoder(tmp_path / "encoder", family)
        save_job(tmp_path / "train", encoder=tmp_path / "encoder", **hyperparameters)
        monkeypatch.setenv("OPT_ML", str(tmp_path / "train"))
        train.main()
        return tmp_path / "train"

    yield run
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def _torch_scores(folder, texts):
    """Scores each text by itself, without padding, as transformers alone does."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            scores.append(torch.softmax(model(ids).logits, dim=-1)[0, 1].item())
    return scores


@pytest.mark.slow  # the whole runs train a BERT each time
@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_encoder_is_trained_compiled_served_and_explained(
    family, trained, tmp_path, monkeypatch
):
    layers = "0" if family == "albert" else "1"
    folder = trained(family, frozen_layers=layers, epochs="8", calibration="temperature") / "model"
    compiled = job(tmp_path / "compile", folder, batch_sizes=[2], sequence_lengths=[12, 32])
    monkeypatch.setenv("OPT_ML", str(compiled))
    monkeypatch.setenv("SERVING_IMAGE", "serving:1")
    compile_model.main()

    expected = _torch_scores(folder, _TEXTS)
    archive = compiled / "processing" / "output" / "artifact" / "model.tar.gz"
    with open_artifact(archive, threshold=0.5) as artifact:
        served = [answer.score for answer in artifact.predict(_TEXTS)]
    assert served == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 1e-3, "the sample must tell a wrong model from a right one"
    _is_partly_frozen(tmp_path / "encoder", folder, layers=int(layers))

    model = ExplainedModel(folder)
    pieces = [((None, text),) for text in _TEXTS]
    rows = read_tokens(pieces, model.tokenizer, max_length=32, truncate=False)
    for score, row, attribution in zip(
        expected, rows, model.attribute(rows, steps=64), strict=True
    ):
        assert 1 / (1 + np.exp(-attribution.score)) == pytest.approx(score, abs=1e-5)
        assert abs(attribution.delta) < 0.02 + 0.02 * abs(attribution.score - attribution.baseline)
        assert not attribution.tokens[row.pieces_of < 0].any()


def _is_partly_frozen(encoder, trained, *, layers: int) -> None:
    """Holds that training moved the upper layer, and neither the embeddings nor what is below."""
    before = load_file(encoder / "model.safetensors")
    after = load_file(trained / "model.safetensors")
    prefix = next(name.partition(".")[0] for name in after if ".embeddings." in name)
    moved = {
        name
        for name, value in before.items()
        if f"{prefix}.{name}" in after and not torch.equal(value, after[f"{prefix}.{name}"])
    }
    assert moved
    assert not {name for name in moved if name.startswith("embedding") or ".embedding" in name}
    assert not layers or not {name for name in moved if ".0." in name}


def test_layers_that_share_their_weights_are_not_frozen_in_part(trained):
    with pytest.raises(InputError, match="`albert` has no layers with weights of their own: set"):
        trained("albert", frozen_layers="1")


def test_more_layers_than_there_are_cannot_be_frozen(trained):
    with pytest.raises(InputError, match="frozen_layers is 3, model type `electra` has 2 layers"):
        trained("electra", frozen_layers="3")


@pytest.mark.parametrize(("family", "reads"), [("bert", 66), ("roberta", 64), ("modernbert", 66)])
def test_what_is_longer_than_a_familys_positions_is_refused(family, reads, trained):
    with pytest.raises(InputError, match=f"go up to 67 tokens, the model reads {reads}"):
        trained(family, max_length="67")


def test_long_texts_are_trained_on_without_fused_attention_where_a_family_has_none(tmp_path):
    save_encoder(tmp_path, "deberta-v2")
    settings = Hyperparameters(max_length=64, truncate=False, frozen_layers=0)
    attention = machine.attention(torch.device("cpu"), max_length=512)
    model = load_classifier(
        tmp_path, labels=("no", "yes"), hyperparameters=settings, attention=attention
    )
    assert model.config._attn_implementation == "eager"


def test_a_dropout_is_set_by_whatever_name_a_family_gives_it(tmp_path):
    for family in ("bert", "distilbert", "modernbert"):
        save_encoder(tmp_path / family, family)
        settings = Hyperparameters(max_length=32, truncate=False, frozen_layers=0, dropout=0.25)
        model = load_classifier(
            tmp_path / family, labels=("no", "yes"), hyperparameters=settings, attention="eager"
        )
        drops = {type(module): module.p for module in model.modules() if hasattr(module, "p")}
        assert set(drops.values()) == {0.25}, family


def test_a_model_type_without_a_classifier_is_refused_by_name(tmp_path):
    save_encoder(tmp_path, "bert")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    settings = Hyperparameters(max_length=32, truncate=False, frozen_layers=0)
    with pytest.raises(InputError, match="transformers makes no classifier of model type `vit`"):
        load_classifier(tmp_path, labels=("no", "yes"), hyperparameters=settings, attention="eager")
