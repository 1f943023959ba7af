"""Hardware capabilities, and settings for reproducible results."""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sashiko.errors import InputError
from sashiko.settings.recipe_train import DistributedSection

if TYPE_CHECKING:
    import torch


def repeatable(*, seed: int) -> None:
    """Seeds torch, pins its threads to `OMP_NUM_THREADS` and disables nondeterministic kernels.

    For a seed, a machine and a thread count, training then gives the same bytes.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic cuBLAS
    # OpenMP's threads spin while they wait for each other; when another process holds a core, a
    # step then takes up to ten times as long. Both variables are read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads):
        torch.set_num_threads(int(threads))
    # As `use_deterministic_algorithms(True)`, which would also import torch's compiler: seconds for
    # what nothing here uses.
    torch.set_deterministic_debug_mode("error")
    # A debugging aid that deterministic mode turns on, and that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no stub
    torch.manual_seed(seed)


def best_device(*, local_rank: int = 0) -> "torch.device":
    """Returns the process's GPU if there is one that CUDA reaches, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda")


def check_memory(folder: Path, section: DistributedSection, device: "torch.device") -> None:
    """Checks that a model's weights fit this machine, before minutes go into loading them.

    Each process of a node loads the whole model in float32 into the host's memory. A GPU then holds
    all of it, unless it is sharded. Activations and the optimiser come on top.

    Raises:
        InputError: with the sizes, and what to choose instead.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    size = 0  # bytes of the folder's tensors in float32, from the headers of its files
    for path in folder.glob("*.safetensors"):
        # What loads the model says why a file cannot be read.
        with suppress(OSError, SafetensorError), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                size += 4 * math.prod(file.get_slice(name).get_shape())
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size * section.processes > host:
        raise InputError(
            f"the model takes {_gigabytes(size)} in float32, and each of a node's "
            f"{section.processes} processes loads it: {_gigabytes(size * section.processes)} of "
            f"the host's {_gigabytes(host)}; lower train.distributed.processes, or choose an "
            "instance with more memory or a smaller model"
        )
    if device.type != "cuda" or section.strategy == "fsdp":
        return
    memory = torch.cuda.get_device_properties(device).total_memory
    if size > memory:
        raise InputError(
            f"the model takes {_gigabytes(size)} in float32, and this GPU has "
            f"{_gigabytes(memory)}: set train.distributed.strategy to fsdp, which shards it over "
            "several, or choose a larger GPU or a smaller model"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def uses_bf16(precision: str, device: "torch.device") -> bool:
    """Decides whether matrix products run in bfloat16; the weights stay in float32.

    Raises:
        InputError: for `bf16` on hardware that would only emulate it.
    """
    import torch

    if precision == "fp32":
        return False
    if device.type == "xla":
        supported = True  # NeuronCores; a CPU under XLA emulates it
    elif device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        supported = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    if precision == "bf16" and not supported:
        raise InputError(
            f"train.precision is bf16, which this machine's {device.type} lacks: set auto or fp32"
        )
    return bool(supported)


def attention(device: "torch.device", *, max_length: int) -> str | None:
    """Chooses the attention that is fastest on the device, by the name `transformers` gives it.

    On a CPU the backward pass of torch's fused attention is several times slower than plain matrix
    products as long as sequences are short (a training step of 32 x 37 tokens: 230 against 172 ms
    of CPU time); for long ones the plain form needs memory that grows with the square. None lets
    `transformers` take the fused one, and the plain one of a model without it (DeBERTa). XLA fuses
    the plain operators itself.
    """
    short = device.type == "cpu" and max_length <= 128
    return "eager" if short or device.type == "xla" else None
