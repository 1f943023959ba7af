import subprocess
import sys

_CHECK = """
import sys
from sashiko.training.machine import repeatable
repeatable(seed=0)
import torch
assert torch.are_deterministic_algorithms_enabled()
assert not torch.utils.deterministic.fill_uninitialized_memory
print([name for name in sys.modules if name.startswith(("torch._inductor", "torch._dynamo"))])
"""


def test_what_is_repeatable_imports_no_compiler() -> None:
    command = [sys.executable, "-c", _CHECK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
