"""The kernel distance between two sets of features: an unbiased estimate, which the Fréchet distance has not."""

import math

import torch
from torch import Tensor

from reprogan.errors import UserError
from reprogan.evaluation.products import products

SUBSETS = 20
SUBSET = 1000


def kernel_distance(real: Tensor, fake: Tensor, generator: torch.Generator, size: int = SUBSET) -> float:
    """The squared maximum mean discrepancy of `real` (N, D) and `fake` (M, D), the mean over 20 pairs of subsets.

    The kernel is (x·y + 1)³ on features divided by the square root of the real ones' total variance: as they come,
    their scale decides, and the cube of large ones drowns what differs. About 0 for sets of one kind, and below it as
    often as above. Products are float32 and their sums float64: rounding averages out. Subsets are of `size`, or as
    many as there are on the smaller side. Raises UserError for fewer than 2 rows, and for real features that are all
    the same.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs", section 4, with another scale.
    """
    size = min(size, len(real), len(fake))
    if size < 2:
        raise UserError(f"kernel distance: {min(len(real), len(fake))} images; expected 2 or more")
    scale = _scale(real)
    if scale == 0:
        raise UserError("kernel distance: all real images have the same features; expected a trained extractor")
    real, fake = ((some.to(torch.float64) / scale).to(torch.float32) for some in (real, fake))
    total = 0.0
    for _ in range(SUBSETS):
        a, b = (some[torch.randperm(len(some), generator=generator)[:size]] for some in (real, fake))
        total += _unbiased(a, b)
    return total / SUBSETS


def _scale(real: Tensor) -> float:
    """The square root of the total variance of features (N, D)."""
    real = real.to(torch.float64)
    return math.sqrt(float((real - real.mean(0)).square().sum()) / (len(real) - 1))


def _unbiased(a: Tensor, b: Tensor) -> float:
    """The mean of the kernel within each set, pairs of an image with itself left out, less twice that across both."""
    within = 0.0
    for some in (a, b):
        kernel = _kernel(some, some)
        within += (_sum(kernel) - _sum(kernel.diagonal())) / (len(some) * (len(some) - 1))
    return within - 2 * _sum(_kernel(a, b)) / (len(a) * len(b))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    product = products(a, b).add_(1.0)
    return product.square().mul_(product)  # not pow: its bits differ between CPUs


def _sum(values: Tensor) -> float:
    return float(values.sum(dtype=torch.float64))
