"""Attention as one operator while a model is exported, and what keeps its own."""

import pytest
import torch
from classifier import load_classifier
from transformers import AutoConfig, AutoModelForSequenceClassification

from tests.unit.training.tiny_families import FAMILIES, save_encoder


def classifier(folder, family):
    save_encoder(folder / "encoder", family)
    config = AutoConfig.from_pretrained(folder / "encoder", num_labels=2)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder / "classifier")
    return load_classifier(folder / "classifier").classifier


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_that_chooses_its_attention_is_fused_and_another_keeps_its_own(family, tmp_path):
    from export_onnx import fused_attention

    model = classifier(tmp_path, family)
    with fused_attention(model):
        fused = model.config._attn_implementation != "eager"
    assert fused == (family != "deberta-v2")
    assert model.config._attn_implementation == "eager"


def test_what_the_operator_cannot_compute_is_left_to_the_family(tmp_path):
    from export_onnx import _attend
    from transformers.models.bert.modeling_bert import eager_attention_forward  # a second's import

    module = classifier(tmp_path, "bert").bert.encoder.layer[0].attention.self
    query, key, value = torch.randn(3, 1, 2, 5, 16).unbind()
    expected, weights = eager_attention_forward(module, query, key, value, None, scaling=0.25)
    assert weights is not None
    attended, _ = _attend(module, query, key, value, None, scaling=0.25, softcap=30.0)
    assert torch.equal(attended, expected)
