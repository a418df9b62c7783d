"""Convolutions and BatchNorm that compute as torch's own do, faster where those are slow on a CPU.

What is slow there, and what takes its place:

- The derivative of a convolution's gradient, which penalties on gradients need: torch writes it as a convolution whose
  kernels are as large as images. It is one convolution and one gradient of weights.
- A strided convolution's gradient with respect to images of few channels, and a transposed one to so few: every place
  of the result within a stride is a channel of a convolution without stride.
- A kernel that covers the whole image: a matrix product.
- BatchNorm of fewer channels than a vector holds, where channels lie last in memory.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from reprogan.models.product import on_cpu, product

_FEW = 8  # channels; with more, oneDNN's own transposed convolution is as fast
_VECTOR = 16  # float32 in the longest registers


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, on a CPU by the ways above."""

    is_stock = False  # True: as torch's own in every way

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        plain = self.dilation == (1, 1) and self.padding_mode == "zeros" and isinstance(self.padding, tuple)
        if self.is_stock or not plain or not _is_for_us(input):
            return super()._conv_forward(input, weight, bias)
        if self.padding == (0, 0) and self.groups == 1 and input.shape[2:] == weight.shape[2:]:
            outputs = product(input.permute(0, 2, 3, 1).flatten(1), weight.permute(0, 2, 3, 1).flatten(1))
            return (outputs if bias is None else outputs + bias)[:, :, None, None]
        kind = _Kind(self.stride, self.padding, False, self.groups)  # type: ignore[arg-type]
        outputs = _Convolution.apply(input, weight, bias, kind)
        return outputs


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d`, on a CPU by the ways above."""

    is_stock = False

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        plain = self.dilation == (1, 1) and self.output_padding == (0, 0) and output_size is None and self.groups == 1
        if self.is_stock or not plain or not _is_for_us(input):
            return super().forward(input, output_size)
        if self.padding == (0, 0) and input.shape[2:] == (1, 1):
            inputs, outputs, height, width = self.weight.shape
            weight = self.weight.permute(2, 3, 1, 0).reshape(-1, inputs)
            images = product(input.flatten(1), weight).view(-1, height, width, outputs)
            return (images if self.bias is None else images + self.bias).permute(0, 3, 1, 2)
        kind = _Kind(self.stride, self.padding, True, 1)  # type: ignore[arg-type]
        images = _Convolution.apply(input, self.weight, self.bias, kind)
        return images


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, on a CPU with few channels' images laid out a channel after the other."""

    def forward(self, input: Tensor) -> Tensor:
        few = self.training and self.num_features < _VECTOR and input.dim() == 4 and not input.is_contiguous()
        if not few or not on_cpu(input):
            return super().forward(input)
        return super().forward(input.contiguous()).contiguous(memory_format=torch.channels_last)


class _Kind(NamedTuple):
    """What a convolution has beside its weight and bias."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    transposed: bool
    groups: int


class _Convolution(torch.autograd.Function):
    """x (N, C, H, W), w, b => the convolution; can be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, kind: _Kind) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.kind = kind
        if kind.transposed and _by_phases(w, kind):
            sizes = zip(x.shape[2:], kind.stride, kind.padding, w.shape[2:], strict=True)
            height, width = ((size - 1) * stride - 2 * padding + length for size, stride, padding, length in sizes)
            return _transposed(x, w, b, kind, height, width)
        return torch.convolution(x, w, b, kind.stride, kind.padding, (1, 1), kind.transposed, (0, 0), kind.groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        kind, (of_x, of_w, of_b, _) = ctx.kind, ctx.needs_input_grad
        if torch.is_grad_enabled():  # is differentiated again
            return (
                _InputGradient.apply(g, w, x, kind) if of_x else None,
                _WeightGradient.apply(g, x, w, kind) if of_w else None,
                g.sum((0, 2, 3)) if of_b else None,
                None,
            )
        images = _input_gradient(g, w, x, kind) if of_x and _is_thin(w, kind) else None
        others = _gradients(g, x, w, kind, (of_x and images is None, of_w, of_b))
        return others[0] if images is None else images, others[1], others[2], None


class _InputGradient(torch.autograd.Function):
    """g, w, x => the gradient with respect to x (of which only the shape counts): linear in g and in w."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, x: Tensor, kind: _Kind) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.kind = kind
        return _input_gradient(g, w, x, kind)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, w = ctx.saved_tensors
        of_g, of_w, _, _ = ctx.needs_input_grad
        return (
            _Convolution.apply(h, w, None, ctx.kind) if of_g else None,
            _WeightGradient.apply(g, h, w, ctx.kind) if of_w else None,
            None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    """g, x, w => the gradient with respect to w (of which only the shape counts): linear in g and in x."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, w: Tensor, kind: _Kind) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.kind = kind
        gradient = _gradients(g, x, w, kind, (False, True, False))[1]
        assert gradient is not None
        return gradient

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved_tensors
        of_g, of_x, _, _ = ctx.needs_input_grad
        return (
            _Convolution.apply(x, h, None, ctx.kind) if of_g else None,
            _InputGradient.apply(g, h, x, ctx.kind) if of_x else None,
            None,
            None,
        )


def _gradients(
    g: Tensor, x: Tensor, w: Tensor, kind: _Kind, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Those `wanted` of the gradients with respect to x, w and the bias."""
    of_x = of_w = None
    if wanted[0] or wanted[1]:
        of_x, of_w, _ = torch.ops.aten.convolution_backward(
            g, x, w, None, kind.stride, kind.padding, [1, 1], kind.transposed, [0, 0], kind.groups, [*wanted[:2], False]
        )
    # oneDNN's gradient of the bias takes up to half as long as that of the weight.
    return of_x, of_w, g.sum((0, 2, 3)) if wanted[2] else None


def _input_gradient(g: Tensor, w: Tensor, x: Tensor, kind: _Kind) -> Tensor:
    if _is_thin(w, kind):
        return _transposed(g, w, None, kind, *x.shape[2:])
    gradient = _gradients(g, x, w, kind, (True, False, False))[0]
    assert gradient is not None
    return gradient


def _is_thin(w: Tensor, kind: _Kind) -> bool:
    return not kind.transposed and _by_phases(w, kind)


def _by_phases(w: Tensor, kind: _Kind) -> bool:
    return kind.groups == 1 and w.shape[1] <= _FEW and kind.stride == (2, 2) and min(w.shape[2:]) >= 3


def _transposed(x: Tensor, w: Tensor, b: Tensor | None, kind: _Kind, height: int, width: int) -> Tensor:
    """The transposed convolution of x with w (I, O, h, w), plus b, cut to `height` and `width` from the padding on.

    Of a result's pixels those of one remainder by the stride see the same part of each kernel: together they are a
    convolution without stride, with so many more channels.
    """
    (s, t), (inputs, outputs, *sizes) = kind.stride, w.shape
    m, n = (-(-size // stride) for size, stride in zip(sizes, kind.stride, strict=True))  # taps of a remainder
    missing = (0, n * t - sizes[1], 0, m * s - sizes[0])
    whole = (pad(w, missing) if any(missing) else w).reshape(inputs, outputs, m, s, n, t)
    kernels = whole.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(s * t * outputs, inputs, m, n)
    biases = None if b is None else torch.cat([b] * (s * t))  # `repeat` takes several times as long
    phases = conv2d(x, kernels.contiguous(memory_format=torch.channels_last), biases, 1, (m - 1, n - 1))
    images = beside_each_other(phases, s, t)
    top, left = kind.padding
    # Pixels that no kernel reaches, where a convolution with a stride has left some over, are zero; a transposed one
    # of this module, the only kind with a bias, leaves none.
    short = [
        max(0, edge + size - there)
        for edge, size, there in zip(kind.padding, (height, width), images.shape[2:], strict=True)
    ]
    if any(short):
        images = pad(images, (0, short[1], 0, short[0]))
    return images[:, :, top : top + height, left : left + width]


def beside_each_other(phases: Tensor, s: int, t: int) -> Tensor:
    """(N, s t O, H, W) => (N, O, s H, t W): as `pixel_shuffle`, for the order of channels that is copied fast.

    What is beside each other in memory, the t O numbers of a place and a row, stays so.
    """
    count, channels, height, width = phases.shape
    rows = phases.permute(0, 2, 3, 1).reshape(count, height, width, s, channels // s).transpose(2, 3)
    return rows.reshape(count, s * height, t * width, channels // (s * t)).permute(0, 3, 1, 2)


def _is_for_us(images: Tensor) -> bool:
    return images.dim() == 4 and on_cpu(images)
