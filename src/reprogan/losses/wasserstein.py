"""The Wasserstein objective, whose critic gives scores, not probabilities (Arjovsky et al. 2017).

The critic must not change faster than the images do: a penalty on its gradients (Gulrajani et al. 2017), or clipped
weights, see to that.
"""

from collections.abc import Callable

import torch
from torch import Tensor

RECORDS = ("wasserstein_estimate",)
LOOKS_BETWEEN = True  # the penalty, at places between real and generated images


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x), means over scores of any shape: the critic maximises the difference."""
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-D(G(z)), mean."""
    return -fake.mean()


def records(real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
    """D(x) - D(G(z)): up to a factor, an estimate of the Wasserstein-1 distance of the two distributions."""
    return (real.mean() - fake.mean(),)


def penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    logits: Tensor,
    places: Tensor,
    joined: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(|∇D(x̂)| - 1)², mean over images; and the mean |∇D(x̂)| (Gulrajani et al. 2017, Equation 3, without λ).

    x̂ lies on the line between a real and a generated image (N, C, H, W), at its own of `places` (N, 1, 1, 1),
    uniform from 0, the real one, to 1. `logits` are not looked at, nor is what they are of.
    """
    between = torch.lerp(real.detach(), fake.detach().to(real.dtype), places).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    # sqrt of a tensor is not the same on every CPU; a norm over rows is, and its gradient at 0 is defined.
    norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norm - 1).square().mean(), norm.detach().mean()
