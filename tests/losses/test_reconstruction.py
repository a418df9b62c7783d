"""Objectives that compare reconstructions with images, against distributions and by hand."""

import math

import pytest
import torch
from torch.distributions import Bernoulli

from reprogan.losses import bernoulli, squared_error

SHAPE = (4, 1, 5, 3)


def logits_and_images() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return 3 * torch.randn(SHAPE, generator=source), torch.rand(SHAPE, generator=source) * 2 - 1


def test_bernoulli_is_the_log_likelihood_of_black_and_white():
    logits, images = logits_and_images()
    coins = (images > 0).float()
    expected = -Bernoulli(logits=logits).log_prob(coins).flatten(1).sum(1).mean()
    torch.testing.assert_close(bernoulli.reconstruction_loss(logits, 2 * coins - 1), expected)


def test_gray_is_a_share_of_both_outcomes():
    logits, images = logits_and_images()
    total = 0.0
    for logit, pixel in zip(logits.flatten().tolist(), images.flatten().tolist(), strict=True):
        white, probability = (pixel + 1) / 2, 1 / (1 + math.exp(-logit))
        total -= white * math.log(probability) + (1 - white) * math.log(1 - probability)
    assert bernoulli.reconstruction_loss(logits, images).item() == pytest.approx(total / SHAPE[0], rel=1e-5)


def test_squared_error():
    logits, images = logits_and_images()
    total = 0.0
    for logit, pixel in zip(logits.flatten().tolist(), images.flatten().tolist(), strict=True):
        total += (2 / (1 + math.exp(-logit)) - 1 - pixel) ** 2
    assert squared_error.reconstruction_loss(logits, images).item() == pytest.approx(total / SHAPE[0], rel=1e-5)


@pytest.mark.parametrize("loss", [bernoulli, squared_error], ids=["bernoulli", "squared_error"])
def test_the_best_reconstruction_is_the_image(loss):
    _, images = logits_and_images()
    best = torch.logit((images + 1) / 2).requires_grad_()
    value = loss.reconstruction_loss(best, images)
    (slope,) = torch.autograd.grad(value, best)
    torch.testing.assert_close(slope, torch.zeros(SHAPE), rtol=0, atol=1e-5)
    assert loss.reconstruction_loss(best.detach() + 0.3, images) > value + 0.01


@pytest.mark.parametrize("loss", [bernoulli, squared_error], ids=["bernoulli", "squared_error"])
def test_extreme_logits_stay_finite(loss):
    logits = torch.tensor([1e4, -1e4]).view(1, 1, 1, 2).requires_grad_()
    value = loss.reconstruction_loss(logits, -logits.detach().sign())
    assert torch.isfinite(value) and torch.isfinite(torch.autograd.grad(value, logits)[0]).all()
