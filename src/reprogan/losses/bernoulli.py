"""Each pixel's brightness as the probability of a coin: binary cross-entropy (Kingma and Welling 2014, C.1)."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x | z) in nats, summed over pixels, mean over images: float32 (N, C, H, W), images in [-1, 1]."""
    return binary_cross_entropy_with_logits(logits, (images + 1) / 2, reduction="sum") / len(images)
