"""Layers that several architectures share; some compute as torch's own do, faster where those are slow on a CPU."""

import os
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Linear):
    """`nn.Linear`, with oneDNN's matrix product where MKL is held to its slowest one.

    `compute.isa: avx2` holds MKL to kernels that give the same bits on every CPU (MKL_CBWR=COMPATIBLE), a third as
    fast as oneDNN's, which keep that promise too.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        if not _mkl_is_slow(inputs):
            return super().forward(inputs)
        outputs = _Product.apply(inputs, self.weight)
        return outputs if self.bias is None else outputs + self.bias


class Dropout(nn.Dropout):
    """`nn.Dropout` with a mask from uniform numbers: on a CPU half the time of torch's, which draws it bit by bit."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self._p, self._scale = torch.tensor(p), torch.tensor(1 / (1 - p))  # a number would be made a tensor each time

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return inputs
        if inputs.device.type != "cpu":
            return functional.dropout(inputs, self.p)
        mask = torch.rand(inputs.shape)  # float32 also where inputs are bfloat16, whose 256 steps are too coarse
        return inputs * mask.ge_(self._p).mul_(self._scale).to(inputs.dtype)


class _Product(torch.autograd.Function):
    """a (N, K), b (M, K) => a bᵀ (N, M), float32 on the CPU; can be differentiated any number of times."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(a, b)
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[no-untyped-def]
        a, b = ctx.saved_tensors
        of_a = _Product.apply(gradient, b.t()) if ctx.needs_input_grad[0] else None
        of_b = _Product.apply(gradient.t(), a.t()) if ctx.needs_input_grad[1] else None
        return of_a, of_b


def _mkl_is_slow(inputs: Tensor) -> bool:
    return (
        os.environ.get("MKL_CBWR") == "COMPATIBLE"
        and inputs.device.type == "cpu"
        and inputs.dtype == torch.float32
        and inputs.dim() == 2
        and len(inputs) > 0  # oneDNN refuses an empty batch
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


Norm = Literal["batch", "instance", "layer", "spectral", "none"]
"""How a convolutional discriminator is kept in bounds."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The layer after a convolution: "layer" normalises over channels and positions of one image (Ba et al. 2016).

    "spectral" normalises weights instead (`spectral_norm`), so there is nothing after the convolution.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()


def spectral_norm(layer: nn.Module) -> nn.Module:
    """Divide a layer's weight by its largest singular value, by one power iteration a pass (Miyato et al. 2018)."""
    return nn.utils.parametrizations.spectral_norm(layer)


_STOCK: dict[type, type[nn.Module]] = {Linear: nn.Linear, Dropout: nn.Dropout}


def stock(network: nn.Module) -> nn.Module:
    """Turn the layers above back into torch's own, in place: what a plain loop trains."""
    for module in network.modules():
        module.__class__ = _STOCK.get(type(module), type(module))
    return network
