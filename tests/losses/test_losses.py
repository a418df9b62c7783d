"""Objectives on logits, each against its formula written out by hand, image by image."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from reprogan import losses
from reprogan.errors import UserError
from reprogan.losses import cross_entropy, features, hinge, non_saturating, relativistic, wasserstein

REAL = [2.5, 0.25, -1.5, 1.0, 0.0]
FAKE = [-3.0, -0.5, 0.75, -1.0, 2.0]
ADVERSARIAL = ("hinge", "non_saturating", "relativistic", "wasserstein")


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


BY_HAND = {
    non_saturating: (
        mean([-math.log(sigmoid(r)) for r in REAL]) + mean([-math.log(1 - sigmoid(f)) for f in FAKE]),
        mean([-math.log(sigmoid(f)) for f in FAKE]),
        (mean([sigmoid(r) for r in REAL]), mean([sigmoid(f) for f in FAKE])),
    ),
    hinge: (
        mean([1 - r if r < 1 else 0.0 for r in REAL]) + mean([1 + f if f > -1 else 0.0 for f in FAKE]),
        -mean(FAKE),
        (mean(REAL), mean(FAKE)),
    ),
    wasserstein: (mean(FAKE) - mean(REAL), -mean(FAKE), (mean(REAL) - mean(FAKE),)),
    relativistic: (
        mean([-math.log(sigmoid(r - f)) for r, f in zip(REAL, FAKE, strict=True)]),
        mean([-math.log(sigmoid(f - r)) for r, f in zip(REAL, FAKE, strict=True)]),
        (mean([sigmoid(r - f) for r, f in zip(REAL, FAKE, strict=True)]),),
    ),
}


@pytest.mark.parametrize("loss", BY_HAND, ids=lambda loss: loss.__name__.split(".")[-1])
def test_both_players_and_the_records_by_hand(loss):
    of_discriminator, of_generator, recorded = BY_HAND[loss]
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert loss.discriminator_loss(real, fake).item() == pytest.approx(of_discriminator, rel=1e-6)
    found = loss.relativistic_generator_loss(real, fake) if loss is relativistic else loss.generator_loss(fake)
    assert found.item() == pytest.approx(of_generator, rel=1e-6)
    assert [value.item() for value in loss.records(real, fake)] == pytest.approx(list(recorded), rel=1e-6)
    assert len(loss.RECORDS) == len(recorded) == len(set(loss.RECORDS))


def test_what_is_right_by_a_margin_teaches_a_hinged_discriminator_nothing():
    real, fake = torch.tensor(REAL, requires_grad=True), torch.tensor(FAKE, requires_grad=True)
    of_real, of_fake = torch.autograd.grad(hinge.discriminator_loss(real, fake), (real, fake))
    for value, slope in zip(REAL, of_real.tolist(), strict=True):
        assert value == 1 or slope == pytest.approx(-0.2 if value < 1 else 0.0)
    for value, slope in zip(FAKE, of_fake.tolist(), strict=True):
        assert value == -1 or slope == pytest.approx(0.2 if value > -1 else 0.0)


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
    assert torch.isfinite(relativistic.discriminator_loss(certain, -certain))
    assert torch.isfinite(relativistic.relativistic_generator_loss(certain, -certain))


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
    with pytest.raises(UserError, match=rf"loss: found 'hinges'; expected one of {', '.join(ADVERSARIAL)}$"):
        losses.load("hinges", "discriminator_loss")


def test_which_objectives_have_a_penalty():
    assert [name for name in ADVERSARIAL if losses.offers(name, "penalty")] == ["relativistic", "wasserstein"]
    assert not losses.offers("hinges", "penalty")


def test_attributes_by_hand():
    """Two attributes of two and three options: each option is a coin of its own."""
    logits = torch.tensor([[1.0, -2.0, 0.5, 3.0, -1.0], [0.0, 1.5, -0.5, 0.25, 2.0]])
    options = torch.tensor([[0, 3], [1, 2]])
    expected = []
    for row, true in zip(logits.tolist(), options.tolist(), strict=True):
        for option, logit in enumerate(row):
            expected.append(-math.log(sigmoid(logit) if option in true else 1 - sigmoid(logit)))
    assert float(features.answering_loss(logits, options)) == pytest.approx(mean(expected))
    assert float(features.accuracy(logits, options)) == 0.75  # -0.5 is not taken for true


def test_denoising_by_hand():
    restored, images = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, -0.5]])
    assert float(features.denoising_loss(restored, images)) == 0.25
