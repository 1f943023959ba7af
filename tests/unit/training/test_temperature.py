import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from sashiko.errors import InputError
from sashiko.training.temperature import divide_logits

_SIZE = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 16, "max_position_embeddings": 16}  # fmt: skip
_DISTILLED = {"vocab_size": 20, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BertForSequenceClassification, BertConfig(**_SIZE)),
        (RobertaForSequenceClassification, RobertaConfig(**_SIZE)),
        (ElectraForSequenceClassification, ElectraConfig(embedding_size=16, **_SIZE)),
        (DistilBertForSequenceClassification, DistilBertConfig(**_DISTILLED)),
    ],
    ids=["bert", "roberta", "electra", "distilbert"],
)
def test_the_logits_are_divided_and_nothing_else_is_changed(kind, config) -> None:
    model = kind(config).eval()
    tokens = torch.arange(12).reshape(2, 6) + 2
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        # Halves of floats are exact: so are the logits.
        divide_logits(model, 2.0)
        assert torch.equal(model(input_ids=tokens).logits, before / 2)
        divide_logits(model, 0.7)
        assert torch.allclose(model(input_ids=tokens).logits, before / 1.4, rtol=1e-5, atol=1e-7)


def test_a_head_that_is_no_single_linear_layer_is_refused() -> None:
    model = BertForSequenceClassification(BertConfig(**_SIZE))
    model.classifier = torch.nn.Sequential(torch.nn.Linear(16, 2), torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"train\.calibration.*2 linear layers"):
        divide_logits(model, 2.0)
