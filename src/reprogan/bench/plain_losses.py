"""Objectives as people write them, in one function each."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus


def discriminator_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """Of logits of real images and of generated ones."""
    if name == "non_saturating":
        ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
        return binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)
    if name == "hinge":
        return relu(1 - real).mean() + relu(1 + fake).mean()
    return fake.mean() - real.mean() if name == "wasserstein" else softplus(fake - real).mean()


def generator_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """Of the same; only `relativistic` looks at real ones."""
    if name == "non_saturating":
        return binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    return softplus(real - fake).mean() if name == "relativistic" else -fake.mean()


def gradient_penalty(
    name: str, discriminator: nn.Module, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
) -> Tensor:
    """Without its weight."""
    if name == "wasserstein":
        place = torch.rand(len(real), 1, 1, 1)
        between = (place * real + (1 - place) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        return ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
    (of_real,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    (of_fake,) = torch.autograd.grad(fake_logits.sum(), fake, create_graph=True)
    return (of_real.square().flatten(1).sum(1).mean() + of_fake.square().flatten(1).sum(1).mean()) / 2
