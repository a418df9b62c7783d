"""Objectives against torch's own on probabilities' logits."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from reprogan import losses
from reprogan.errors import UserError
from reprogan.losses import cross_entropy, non_saturating


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_non_saturating_is_binary_cross_entropy(scale):
    generator = torch.Generator().manual_seed(1)
    real, fake = (scale * torch.randn(64, generator=generator) for _ in range(2))
    for logits in (real, fake):
        logits.requires_grad_(True)
    ones, zeros = torch.ones(64), torch.zeros(64)

    ours = non_saturating.discriminator_loss(real, fake)
    theirs = binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, (real, fake)), torch.autograd.grad(theirs, (real, fake)))

    ours, theirs = non_saturating.generator_loss(fake), binary_cross_entropy_with_logits(fake, ones)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, fake), torch.autograd.grad(theirs, fake))


def test_extreme_logits_stay_finite():
    certain = torch.tensor([1e4, -1e4])
    assert torch.isfinite(non_saturating.discriminator_loss(certain, certain))
    assert torch.isfinite(non_saturating.generator_loss(certain))


def test_cross_entropy():
    generator = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(32, 10, generator=generator), torch.arange(32) % 10
    expected = -log_softmax(logits, 1)[torch.arange(32), labels].mean()
    torch.testing.assert_close(cross_entropy.classification_loss(logits, labels), expected)


def test_a_loss_is_found_by_its_name_and_what_it_offers():
    assert losses.load("non_saturating", "discriminator_loss") is non_saturating
    for name, function in (("cross_entropy", "discriminator_loss"), ("hinges", "generator_loss"), ("__init__", "load")):
        with pytest.raises(UserError, match="expected one of"):
            losses.load(name, function)
