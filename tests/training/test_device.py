"""The device that a run computes on."""

import subprocess
import sys

CODE = """
import sys
from reprogan.config import Compute
from reprogan.entry import pin_instruction_set
compute = Compute(device="cpu", threads=1, isa="avx2", precision="float32", channels_last=True)
pin_instruction_set(compute)
import torch
from reprogan.sampling.pictures import grid
from reprogan.systems.adam import Adam
from reprogan.training.device import set_up_device
set_up_device(compute)
weight = torch.nn.Parameter(torch.ones(2))
Adam([weight], 0.1, (0.9, 0.99)).descend(weight.sum())
grid(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 2)
assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
print([name for name in ("torch._dynamo", "torch._inductor", "torchvision") if name in sys.modules])
"""


def test_neither_training_nor_sampling_imports_torchs_compiler_or_torchvision():
    """Each takes seconds, at every stage."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
