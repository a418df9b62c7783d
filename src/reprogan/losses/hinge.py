"""The hinge objective: D is pushed no further once it is right by a margin (Lim and Ye 2017; Zhang et al. 2019)."""

from torch import Tensor
from torch.nn.functional import relu

RECORDS = ("real_logit", "fake_logit")


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))), means over logits of any shape (SAGAN, Equation 4)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-D(G(z)), mean."""
    return -fake.mean()


def records(real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
    """The mean logits of real and of generated images; beyond 1 and -1 they teach D nothing."""
    return real.mean(), fake.mean()
