import pytest
import torch
import transformers

from sashiko.errors import InputError
from sashiko.training.scoring import divide_logits

_SIZE = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 16, "max_position_embeddings": 16}  # fmt: skip
_DISTILLED = {"vocab_size": 20, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}


def classifier(family, **sizes):
    config = getattr(transformers, f"{family}Config")(**sizes)
    return getattr(transformers, f"{family}ForSequenceClassification")(config)


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("Bert", _SIZE), ("Roberta", _SIZE), ("Electra", {"embedding_size": 16, **_SIZE}),
     ("DistilBert", _DISTILLED)],
)  # fmt: skip
def test_the_logits_are_divided_and_nothing_else_is_changed(family, sizes):
    model = classifier(family, **sizes).eval()
    tokens = torch.arange(12).reshape(2, 6) + 2
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        # Halves of floats are exact: so are the logits.
        divide_logits(model, 2.0)
        assert torch.equal(model(input_ids=tokens).logits, before / 2)
        divide_logits(model, 0.7)
        assert torch.allclose(model(input_ids=tokens).logits, before / 1.4, rtol=1e-5, atol=1e-7)


def test_a_head_that_is_no_single_linear_layer_is_refused():
    model = classifier("Bert", **_SIZE)
    model.classifier = torch.nn.Sequential(torch.nn.Linear(16, 2), torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"train\.calibration.*2 linear layers"):
        divide_logits(model, 2.0)
