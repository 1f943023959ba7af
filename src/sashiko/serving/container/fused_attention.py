"""Attention as one operator of ONNX Runtime, while a classifier is exported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

_NAME = "onnx_multi_head_attention"
# What changes no score here: dropout is off, and the mask has windows and causality.
_IGNORED = {"deterministic", "dropout", "is_causal", "sliding_window"}


@contextmanager
def fused_attention(classifier: Any) -> Iterator[None]:
    """Has a classifier attend by `com.microsoft.MultiHeadAttention`, which only ONNX Runtime runs.

    It is an implementation beside transformers' own ones, so it fits every family that chooses
    among them. A family that does not, such as DeBERTa, keeps its attention.

    Args:
        classifier: a transformers model, with attention as plain operators.
    """
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, AttentionMaskInterface()["eager"])
    before = classifier.config._attn_implementation
    classifier.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        classifier.set_attn_implementation(before)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attends: see `transformers.AttentionInterface`.

    Args:
        module: the attention's own module.
        query: (batch, heads, tokens, head size).
        key: likewise; fewer heads where several queries share one.
        value: likewise.
        attention_mask: what is added to the products, (batch, 1, tokens, tokens).
        scaling: of the products; None for the inverse root of the head size.
        options: what else the family's attention depends on.

    Returns:
        (batch, tokens, heads, head size), and the weights, which are not kept.
    """
    others = {name for name, value in options.items() if value is not None and value is not False}
    if key.shape[1] != query.shape[1] or others - _IGNORED:
        eager = sys.modules[type(module).__module__].eager_attention_forward
        result: tuple[torch.Tensor, torch.Tensor | None] = eager(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return result
    batch, heads, tokens, _ = query.shape
    size = value.shape[3]
    attributes: dict[str, Any] = {"num_heads": heads}
    if scaling is not None:
        attributes["scale"] = float(scaling)
    attended = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        # Neither a bias of the three, nor a mask of keys.
        (_joined(query), _joined(key), _joined(value), None, None, attention_mask),
        attributes,
        dtype=query.dtype,
        shape=(batch, tokens, heads * size),
        version=1,
    )
    return attended.view(batch, tokens, heads, size), None


def _joined(heads: torch.Tensor) -> torch.Tensor:
    batch, count, tokens, size = heads.shape
    return heads.transpose(1, 2).reshape(batch, tokens, count * size)
