"""How far the distributions of codes and conditions are from the standard normal one."""

from torch import Tensor


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)), summed over the D numbers of a code, mean over codes (N, D), in nats.

    Source: Kingma and Welling 2014, Appendix B.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum() / (2 * len(mean))
