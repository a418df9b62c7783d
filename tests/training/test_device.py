"""The device that a run computes on."""

import subprocess
import sys

import pytest
import torch

from reprogan.config import Compute
from reprogan.training.device import autocast, kernels, threads_of

CPU = {"device": "cpu", "threads": 1, "isa": "avx2", "precision": "float32", "channels_last": True}

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


def test_a_step_in_bfloat16_sees_the_weights_as_the_step_before_left_them():
    weight = torch.nn.Parameter(torch.ones(1, 1))
    x = torch.ones(1, 1)
    with autocast(Compute.model_validate(CPU | {"precision": "bf16"})):
        before = torch.nn.functional.linear(x, weight)
        with torch.no_grad():
            weight.fill_(2.0)
        after = torch.nn.functional.linear(x, weight)
    assert after.dtype == torch.bfloat16
    assert (before.item(), after.item()) == (1.0, 2.0)


def test_where_the_processor_chooses_the_kernels_its_name_is_part_of_what_bytes_depend_on():
    assert kernels(Compute.model_validate(CPU)) == "any"
    native = kernels(Compute.model_validate(CPU | {"isa": "native"}))
    assert native != "any" and native.strip()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_kernels_of_a_gpu_are_those_of_its_model():
    assert torch.cuda.get_device_name() in kernels(Compute.model_validate(CPU | {"device": "cuda"}))


def test_linear_layers_of_few_weights_train_on_one_thread():
    two = Compute(**CPU | {"threads": 2})
    small, wide, convolution = torch.nn.Linear(64, 64), torch.nn.Linear(128, 128), torch.nn.Conv2d(1, 1, 3)
    assert threads_of([small, small], two) == 1
    assert threads_of([small, wide], two) == threads_of([small, convolution], two) == 2
