"""The squared error of pixels: up to constants, each is normally distributed around its reconstruction."""

import torch
from torch import Tensor


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """|2 σ(logits) - 1 - x|², summed over pixels, mean over images: float32 (N, C, H, W), images in [-1, 1]."""
    return (torch.tanh(logits / 2) - images).square().sum() / len(images)
