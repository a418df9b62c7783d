"""Matrix products on a CPU, by the library that is faster there."""

import functools
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Products of fewer numbers (rows × columns × length) are MKL's: where it may choose its kernels, and where it may not.
_LEAST, _LEAST_HELD = 1 << 22, 1 << 20


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (N, K), b (M, K) => a bᵀ (N, M).

    MKL takes AVX2 kernels on processors that are not Intel's, half as fast as oneDNN's AVX-512 there. At
    `compute.isa: avx2` it is held to kernels that give the same bits on every CPU (MKL_CBWR=COMPATIBLE), a third as
    fast as oneDNN's, which keep that promise too. A call of oneDNN's takes ten microseconds longer, so small products
    are MKL's in any case.
    """
    return Product.apply(a, b, None) if onednn_is_faster(a, len(b)) else a @ b.t()


class Product(torch.autograd.Function):
    """a (N, K), b (M, K), c (M,) or None => a bᵀ + c (N, M), by oneDNN; can be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, c, "none", [], "")
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        of_a = Product.apply(gradient, b.t(), None) if ctx.needs_input_grad[0] else None
        of_b = None
        if ctx.needs_input_grad[1]:  # laid out as b: an optimiser would copy it otherwise
            by_columns = b.stride(0) == 1 and b.stride(1) > 1
            of_b = (
                Product.apply(a.t(), gradient.t(), None).t() if by_columns else Product.apply(gradient.t(), a.t(), None)
            )
        return of_a, of_b, gradient.sum(0) if ctx.needs_input_grad[2] else None


def on_cpu(inputs: Tensor) -> bool:
    """Whether layers of ours take the place of torch's: for float32 on a CPU with oneDNN, without autocast."""
    return (
        inputs.is_cpu
        and inputs.dtype == torch.float32
        and len(inputs) > 0  # oneDNN refuses an empty batch
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


def onednn_is_faster(inputs: Tensor, outputs: int) -> bool:
    """Whether a product of `inputs` (N, K) to so many outputs should be oneDNN's; see `product`."""
    if inputs.dim() != 2 or not on_cpu(inputs) or not torch.backends.mkl.is_available():
        return False
    is_held = os.environ.get("MKL_CBWR") == "COMPATIBLE"
    return (is_held or not _is_intel()) and inputs.numel() * outputs >= (_LEAST_HELD if is_held else _LEAST)


@functools.cache
def _is_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True  # unknown: torch's own choice
