"""The instance families that serve each compile target."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

Target = Literal["cpu", "gpu", "inf2"]

# Families on which a target's serving image runs. The CPU image is for x86-64; CUDA 12.4 of the GPU
# image does not support Blackwell (g7, p6) or Kepler (p2).
SERVING_FAMILIES: Mapping[Target, tuple[str, ...]] = MappingProxyType(
    {
        "cpu": (
            "c4", "c5", "c5d", "c6i", "c6in", "c7i", "m4", "m5", "m5d", "m6i", "m7i", "r5", "r5d",
            "r6i", "r7i", "t2",
        ),
        "gpu": ("g4dn", "g5", "g6", "g6e", "p3", "p4d", "p4de", "p5", "p5e", "p5en"),
        "inf2": ("inf2",),
    }
)  # fmt: skip


def serves(target: Target, instance_type: str) -> bool:
    """Returns whether an instance type, such as `ml.inf2.xlarge`, serves a compile target."""
    return instance_type.split(".")[1] in SERVING_FAMILIES[target]


def serving_types(target: Target, known: Iterable[str]) -> list[str]:
    """Returns the known instance types that serve a target, sorted."""
    return sorted(name for name in known if serves(target, name))
