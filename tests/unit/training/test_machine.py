import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sashiko.errors import InputError
from sashiko.settings.recipe_train import DistributedSection
from sashiko.training.machine import attention, check_memory, uses_bf16

_CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_auto_takes_bf16_where_the_cpu_has_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert uses_bf16("auto", _CPU) is expected
    assert uses_bf16("fp32", _CPU) is False


def test_bf16_is_refused_where_it_would_only_be_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(InputError, match=r"train\.precision is bf16"):
        uses_bf16("bf16", _CPU)


def _weights(folder: Path, *, billions: int) -> Path:
    """Writes the headers of a model in bfloat16, a billion weights a file; the files are sparse."""
    count = 10**9
    tensor = {"dtype": "BF16", "shape": [count // 1000, 1000], "data_offsets": [0, 2 * count]}
    for number in range(billions):
        header = json.dumps({f"weight.{number}": tensor}).encode()
        file = folder / f"model-{number}.safetensors"
        file.write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(file, 8 + len(header) + 2 * count)
    return folder


_NEED_FSDP = r"the model takes 32\.0 GB in float32, and this GPU has 24\.0 GB: .* to fsdp"


@pytest.mark.parametrize(
    ("billions", "section", "device", "message"),
    [
        # An ml.p5.48xlarge has 2 TiB; an L4, as in an ml.g6.12xlarge, 24 GB.
        (70, {"strategy": "fsdp", "processes": 8}, "cuda", r"2,240\.0 GB of the host's 2,199"),
        (8, {"strategy": "ddp", "processes": 4}, "cuda", _NEED_FSDP),
        (8, {}, "cuda", _NEED_FSDP),
        (8, {"strategy": "fsdp", "processes": 4}, "cuda", None),
        (5, {"strategy": "ddp", "processes": 4}, "cuda", None),
        (8, {}, "cpu", None),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    tmp_path, *, billions, section, device, message
):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**41 // 4096}
    properties = SimpleNamespace(total_memory=24 * 10**9)
    refusal = pytest.raises(InputError, match=message) if message else nullcontext()
    folder = _weights(tmp_path, billions=billions)
    with pytest.MonkeyPatch.context() as patch, refusal:
        patch.setattr(os, "sysconf", pages.__getitem__)
        patch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
        check_memory(folder, DistributedSection.model_validate(section), torch.device(device))


def test_long_sequences_do_not_use_the_attention_whose_memory_grows_with_the_square():
    assert attention(_CPU, max_length=64) == "eager"
    assert attention(_CPU, max_length=512) is None
