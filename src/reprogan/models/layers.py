"""Layers that several architectures share; some compute as torch's own do, faster where those are slow on a CPU."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.normalisation import LayerNorm2d
from reprogan.models.product import Product, on_cpu, onednn_is_faster

_MINUS_ONE, _QUARTER, _TWO = (torch.tensor(x) for x in (-1.0, 0.25, 2.0))  # numbers would be made tensors each time


class Linear(nn.Linear):
    """`nn.Linear`, with oneDNN's matrix product where it is faster than MKL's (see `product`)."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not onednn_is_faster(inputs, len(self.weight)):
            return super().forward(inputs)
        return Product.apply(inputs, self.weight, self.bias)


class Tanh(nn.Tanh):
    """`nn.Tanh` as 2 σ(2x) - 1: on a CPU a third of the time of torch's, within 2e-7 of it."""

    def forward(self, inputs: Tensor) -> Tensor:
        return _Tanh.apply(inputs) if on_cpu(inputs) else super().forward(inputs)


class Dropout(nn.Dropout):
    """`nn.Dropout` with a mask from random bytes: on a CPU a third of the time of torch's, which draws it bit by bit.

    A share that is no multiple of 1/256 is taken to the next of 1/65,536.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self._type = torch.int8 if (256 * p).is_integer() else torch.int16
        self._bits = torch.iinfo(self._type).bits
        self._least = torch.tensor(round((p - 0.5) * 2**self._bits)).clamp(max=-torch.iinfo(self._type).min - 1)
        self._least = self._least.to(self._type)
        self._scale = torch.tensor(1 / (1 - p))  # a number would be made a tensor each time

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return inputs
        if not inputs.is_cpu:
            return functional.dropout(inputs, self.p)
        count = inputs.numel()
        drawn = torch.empty(-(-count * self._bits // 64), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(self._type)[:count].view(inputs.shape)
        # As numbers 0 and 1 in their own place: with truth values the mask takes five times as long.
        return inputs * kept.ge_(self._least).to(inputs.dtype).mul_(self._scale)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        scaled = torch.mul(inputs, _TWO).sigmoid_()
        outputs = torch.add(_MINUS_ONE, scaled, alpha=2, out=scaled)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return torch.ops.aten.tanh_backward(gradient, *ctx.saved_tensors)


def shrunk(images: Tensor, by: int) -> Tensor:
    """Means over squares of `by` × `by` pixels: (N, C, H, W) => (N, C, H / by, W / by), without what is left over.

    As `avg_pool2d`; on a CPU by halves, each a sum of every other row and column, in an eighth of its time.
    """
    if by == 1:
        return images
    if by & (by - 1) or not on_cpu(images) or images.shape[2] % by or images.shape[3] % by:
        return functional.avg_pool2d(images, by)
    while by > 1:
        images, by = _Halved.apply(images), by // 2
    return images


class Shrink(nn.AvgPool2d):
    """`shrunk` as a layer, in the place of `nn.AvgPool2d(by)`."""

    def __init__(self, by: int) -> None:
        super().__init__(by)
        self.by = by

    def forward(self, input: Tensor) -> Tensor:
        return shrunk(input, self.by)


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        rows = torch.add(x[:, :, 0::2], x[:, :, 1::2]).mul_(_QUARTER)
        return rows[..., 0::2] + rows[..., 1::2]

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return _Doubled.apply(g)


class _Doubled(torch.autograd.Function):
    """The transpose of `_Halved`."""

    @staticmethod
    def forward(ctx: object, g: Tensor) -> Tensor:
        return functional.interpolate(g * _QUARTER, scale_factor=2.0, mode="nearest")

    @staticmethod
    def backward(ctx: object, x: Tensor) -> Tensor:
        return _Halved.apply(x)


Norm = Literal["batch", "instance", "layer", "spectral", "none"]
"""How a convolutional discriminator is kept in bounds."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The layer after a convolution: "layer" normalises over channels and positions of one image (Ba et al. 2016).

    "spectral" normalises weights instead (`spectral_norm`), so there is nothing after the convolution.
    """
    if norm == "batch":
        return BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return LayerNorm2d(channels) if norm == "layer" else nn.Identity()


def spectral_norm(layer: nn.Module) -> nn.Module:
    """Divide a layer's weight by its largest singular value, by one power iteration a pass (Miyato et al. 2018)."""
    return nn.utils.parametrizations.spectral_norm(layer)


def lay_out(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Have convolutions' weights lie as `layout` says, and wide linear layers' column by column, on a CPU; in place.

    A gradient is computed in half the time as (inputs, outputs) where there are more outputs than inputs, and an
    optimiser wants it to lie as its weight does.
    """
    network.to(memory_format=layout)
    for module in network.modules():
        if type(module) is Linear and module.out_features > module.in_features and module.weight.is_cpu:
            module.weight.data = module.weight.data.t().contiguous().t()
    return network


_STOCK: dict[type, type[nn.Module]] = {
    BatchNorm2d: nn.BatchNorm2d,
    Conv2d: nn.Conv2d,
    ConvTranspose2d: nn.ConvTranspose2d,
    Dropout: nn.Dropout,
    LayerNorm2d: nn.GroupNorm,
    Linear: nn.Linear,
    Shrink: nn.AvgPool2d,
    Tanh: nn.Tanh,
}


def stock(network: nn.Module) -> nn.Module:
    """Turn the layers above and convolutions back into torch's own, in place: what a plain loop trains."""
    for module in network.modules():
        module.__class__ = _STOCK.get(type(module), type(module))
        if isinstance(module, Conv2d | ConvTranspose2d):  # of a class derived from ours, as spectral_norm makes one
            module.is_stock = True
    return network
