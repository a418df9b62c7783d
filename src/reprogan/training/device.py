"""The device a run computes on, set up so that it gives the same bits every time."""

import os
import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn

from reprogan.config import PARAMS_FILE, Compute
from reprogan.errors import UserError
from reprogan.memory import keep_freed_memory

_FEW_WEIGHTS = 1 << 14


def set_up_device(compute: Compute) -> torch.device:
    """Choose the device, thread count, precision and deterministic kernels. Raises UserError if it is not there."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[compute.device]:
        here = ", ".join(name for name, there in available.items() if there)
        raise UserError(
            f"{PARAMS_FILE}: compute.device is {compute.device}, which torch {torch.__version__} does not find; "
            f"set it to one of: {here}"
        )
    torch.set_num_threads(compute.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    # The same as use_deterministic_algorithms(True), which imports torch's compiler besides: two seconds a stage.
    torch.set_deterministic_debug_mode("error")
    # Filling every new tensor with NaN finds reads of uninitialised memory; it costs a pass over memory each time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    reduced = compute.precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = reduced
    torch.backends.cudnn.allow_tf32 = reduced
    if compute.device == "cpu":
        keep_freed_memory()
    return torch.device(compute.device)


def threads_of(networks: Iterable[nn.Module], compute: Compute) -> int:
    """CPU threads that train `networks`: `compute.threads`, or one for linear layers of few weights.

    Kernels that small are done before a second thread has heard of them: two are no faster, and half as slow again
    where others share the machine.
    """
    weights = [weight for network in networks for weight in network.parameters()]
    is_small = sum(weight.numel() for weight in weights) < _FEW_WEIGHTS and all(weight.dim() <= 2 for weight in weights)
    return 1 if is_small else compute.threads


def autocast(compute: Compute) -> AbstractContextManager[object]:
    """The context that forward passes run in: bfloat16 where `precision` asks for it, else nothing.

    It may hold several optimiser steps: weights are cast anew at each use, for a cast that is kept would show the
    generator's step the discriminator as it was before its own.
    """
    if compute.precision == "bf16":
        return torch.autocast(compute.device, torch.bfloat16, cache_enabled=False)
    return nullcontext()


def kernels(compute: Compute) -> str:
    """What the bits of a result depend on beside the parameters: the processor, where it chooses the kernels."""
    if compute.device == "cuda":
        return f"{torch.cuda.get_device_name()} CUDA {torch.version.cuda} cuDNN {torch.backends.cudnn.version()}"
    if compute.device == "cpu" and compute.isa == "avx2":
        return "any"
    return cpu_name()


def cpu_name() -> str:
    """The processor as Linux names it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def memory_format(compute: Compute) -> torch.memory_format:
    """The layout of four-dimensional weights and images."""
    return torch.channels_last if compute.channels_last else torch.contiguous_format
