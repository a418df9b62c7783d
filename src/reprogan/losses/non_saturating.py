"""The original objective in its non-saturating form: binary cross-entropy on logits (Goodfellow et al. 2014)."""

from torch import Tensor
from torch.nn.functional import softplus

RECORDS = ("real_probability", "fake_probability")


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), mean over pairs of logits of any shape, with D = sigmoid(logit) (Equation 1).

    softplus(-a) = -log sigmoid(a) and softplus(a) = -log(1 - sigmoid(a)).
    """
    return (softplus(-real) + softplus(fake)).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-log D(G(z)), whose gradient does not vanish while the discriminator is sure of itself (Section 3)."""
    return softplus(-fake).mean()


def records(real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
    """The mean probabilities of being real that D gives to real and to generated images."""
    return real.sigmoid().mean(), fake.sigmoid().mean()
