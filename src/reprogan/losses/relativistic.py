"""The relativistic objective with zero-centred penalties on real and generated images, R1 and R2.

D judges pairs: how much more real the real image of a pair is. Sources: Jolicoeur-Martineau 2019 (relativistic GANs,
the paired form), Mescheder et al. 2018 (R1 and R2), Huang et al. 2024 (R3GAN: the two together).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

RECORDS = ("pair_probability",)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log σ(D(x) - D(G(z))), mean over the pairs of logits (N,)."""
    return softplus(fake - real).mean()


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log σ(D(G(z)) - D(x)), mean over the pairs of logits (N,)."""
    return softplus(real - fake).mean()


def records(real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
    """The mean probability that D gives the real image of a pair to be the more real one."""
    return ((real - fake).sigmoid().mean(),)


def penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    logits: Tensor,
    places: None,
    joined: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(|∇D(x)|² + |∇D(G(z))|²) / 2, means over images (R1 + R2, without γ); and the mean |∇D| of all.

    `logits` (2N,) are those of `real` and `fake` (N, C, H, W), which require gradients, in this order; or of both in
    one tensor, `joined`, which does. There are no `places`: nothing is looked at between them.
    """
    judged = (real, fake) if joined is None else (joined,)
    of_judged = torch.autograd.grad(logits.sum(), judged, create_graph=True)
    gradients = (torch.cat(of_judged) if joined is None else of_judged[0]).flatten(1)
    # A product, not a square: it is differentiated by fewer kernels.
    return (gradients * gradients).sum(1).mean(), torch.linalg.vector_norm(gradients.detach(), dim=1).mean()
