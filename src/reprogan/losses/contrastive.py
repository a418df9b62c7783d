"""The contrastive objective: of a batch's captions, an image's own is to lie nearest to it, and the other way round."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def similarities(images: Tensor, captions: Tensor) -> Tensor:
    """Cosines of the angles between features (N, D) and (M, D): (N, M), -1 to 1."""
    return normalize(images) @ normalize(captions).t()


def matching_loss(images: Tensor, captions: Tensor, temperature: float) -> Tensor:
    """-log of the share that what belongs together has of exp(similarity / temperature), mean over both ways.

    Features (N, D), row i of both belonging together. Source: Radford et al. 2021 (CLIP), Figure 3.
    """
    logits = similarities(images, captions) / temperature
    own = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.t(), own)) / 2
