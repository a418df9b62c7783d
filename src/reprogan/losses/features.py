"""What features are learned from: the answers to several questions about an image or, without any, the image itself."""

import torch
from torch import Tensor
from torch.nn import functional


def answering_loss(logits: Tensor, options: Tensor) -> Tensor:
    """-log of the probability that σ(logits) gives to what is true and what is not, mean over images and options.

    `logits` float (N, K), one an option; `options` int64 (N, A), the true ones, one of each of A attributes.
    """
    truth = torch.zeros_like(logits).scatter(1, options, 1.0)
    return functional.binary_cross_entropy_with_logits(logits, truth)


def accuracy(logits: Tensor, options: Tensor) -> Tensor:
    """The share of the true options that are taken for true."""
    return (logits.gather(1, options) > 0).float().mean()


def denoising_loss(restored: Tensor, images: Tensor) -> Tensor:
    """Mean square error of a pixel: float (N, C, H, W), both in [-1, 1]."""
    return (restored - images).square().mean()
