"""The kernel distance between two sets of features: an unbiased estimate, which the Fréchet distance has not."""

import torch
from torch import Tensor

from reprogan.errors import UserError

SUBSETS = 20
SUBSET = 1000


def kernel_distance(real: Tensor, fake: Tensor, generator: torch.Generator, size: int = SUBSET) -> float:
    """The squared maximum mean discrepancy of `real` (N, D) and `fake` (M, D), the mean over 20 pairs of subsets.

    The kernel is (x·y + 1)³ on features divided by the square root of the real ones' total variance: as they come,
    their scale decides, and the cube of large ones drowns what differs. About 0 for sets of one kind, and below it as
    often as above. Subsets are of `size`, or as many as there are on the smaller side. Raises UserError for fewer than
    2 rows, and for real features that are all the same.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs", section 4, with another scale.
    """
    size = min(size, len(real), len(fake))
    if size < 2:
        raise UserError(f"kernel distance: {min(len(real), len(fake))} images; expected 2 or more")
    real, fake = real.to(torch.float64), fake.to(torch.float64)
    variance = (real - real.mean(0)).square().sum() / (len(real) - 1)
    if variance == 0:
        raise UserError("kernel distance: all real images have the same features; expected a trained extractor")
    total = 0.0
    for _ in range(SUBSETS):
        a, b = (some[torch.randperm(len(some), generator=generator)[:size]] for some in (real, fake))
        total += _unbiased(a, b, float(variance))
    return total / SUBSETS


def _unbiased(a: Tensor, b: Tensor, variance: float) -> float:
    """The mean of the kernel within each set, pairs of an image with itself left out, less twice that across both."""
    within = 0.0
    for some in (a, b):
        kernel = _kernel(some, some, variance)
        within += float(kernel.sum() - kernel.diagonal().sum()) / (len(some) * (len(some) - 1))
    return within - 2 * float(_kernel(a, b, variance).mean())


def _kernel(a: Tensor, b: Tensor, variance: float) -> Tensor:
    product = (a @ b.T).div_(variance).add_(1.0)
    return product * product * product  # not pow: its bits differ between CPUs
