"""Normalisation over a whole image that computes as torch's own does, with a derivative of its gradient in few kernels.

A critic's penalty differentiates its gradients. Torch writes that of GroupNorm's as some eighty kernels, each of which
takes longer to call than to run on small maps; by hand they are less than half as many.
"""

from typing import Any

import torch
from torch import Tensor, nn

from reprogan.models.product import on_cpu


class LayerNorm2d(nn.GroupNorm):
    """`nn.GroupNorm` of one group: over channels and positions of one image (Ba et al. 2016), a scale a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4 or not on_cpu(input):
            return super().forward(input)
        return _Norm.apply(input, self.weight, self.bias, self.eps)


class _Norm(torch.autograd.Function):
    """x (N, C, H, W), w, b (C,) => w x̂ + b, where x̂ = (x - μ) r has mean 0 and variance 1 in each image."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, eps: float) -> Tensor:
        y, mean, rate = torch.native_group_norm(x, w, b, *_sizes(x), 1, eps)
        ctx.save_for_backward(x, w, mean, rate)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w, mean, rate = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if not torch.is_grad_enabled():
            return *_gradients(g, x, w, mean, rate, wanted), None
        of_x = _InputGradient.apply(g, x, w, mean, rate, ctx.eps) if wanted[0] else None
        of_w = (g * _normalised(x, ctx.eps)[0]).sum((0, 2, 3)) if wanted[1] else None
        return of_x, of_w, g.sum((0, 2, 3)) if wanted[2] else None, None


class _InputGradient(torch.autograd.Function):
    """g, x, w => r P(g w), the gradient with respect to x, with P(v) = v - ⟨v⟩ - x̂ ⟨v x̂⟩ and means over an image."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, w: Tensor, mean: Tensor, rate: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(g, x, w, mean, rate)
        ctx.eps = eps
        of_x = _gradients(g, x, w, mean, rate, (True, False, False))[0]
        assert of_x is not None
        return of_x

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, x, w, mean, rate = ctx.saved_tensors
        if torch.is_grad_enabled():  # is differentiated again: μ and r hang on x
            normalised, r = _normalised(x, ctx.eps)
        else:
            r = rate.view(-1, 1, 1, 1)
            normalised = (x - mean.view(-1, 1, 1, 1)) * r
        u = g * w[:, None, None]
        # ⟨h⟩, ⟨u⟩, ⟨h x̂⟩, ⟨u x̂⟩ and ⟨h u⟩ of each image
        mean_h, mean_u = _mean(h), _mean(u)
        a, b, c = _mean(u * normalised), _mean(h * normalised), _mean(h * u)
        of_u = (h - mean_h - normalised * b) * r
        of_w = (of_u * g).sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        of_x = None
        if ctx.needs_input_grad[1]:
            # of ⟨h, r P(u)⟩, in which r and x̂ both hang on x: dr/dx = -r² x̂ / M, and dx̂/dx = r P
            along = 3 * a * b + mean_h * mean_u - c
            of_x = (normalised * along - h * a - u * b + (a * mean_h + b * mean_u)) * (r * r)
        return of_u * w[:, None, None] if ctx.needs_input_grad[0] else None, of_x, of_w, None, None, None


def _gradients(
    g: Tensor, x: Tensor, w: Tensor, mean: Tensor, rate: Tensor, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Those `wanted` of the gradients with respect to x, w and b."""
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.native_group_norm_backward(
        g, x, mean, rate, w, *_sizes(x), 1, list(wanted)
    )
    return gradients


def _normalised(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x̂ and r (N, 1, 1, 1), by operations that can be differentiated."""
    centred = x - _mean(x)
    r = (_mean(centred * centred) + eps).rsqrt()
    return centred * r, r


def _mean(values: Tensor) -> Tensor:
    """Of each image, (N, 1, 1, 1)."""
    return values.mean((1, 2, 3), keepdim=True)


def _sizes(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
