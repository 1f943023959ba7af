import pytest
import torch

from sashiko.errors import InputError
from sashiko.training.machine import attention, uses_bf16

_CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_auto_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert uses_bf16("auto", _CPU) is expected
    assert uses_bf16("fp32", _CPU) is False


def test_bf16_is_refused_where_it_would_only_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(InputError, match=r"train\.precision is bf16"):
        uses_bf16("bf16", _CPU)


def test_long_sequences_do_not_use_the_attention_whose_memory_grows_with_the_square() -> None:
    assert attention(_CPU, max_length=64) == "eager"
    assert attention(_CPU, max_length=512) is None
