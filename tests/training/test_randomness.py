"""Draws are pure functions of (seed, purpose, position)."""

import torch

from reprogan.training.randomness import Randomness, derive_seed

CPU = torch.device("cpu")


def test_a_seed_is_always_the_same_number():
    """Pinned: another number would change every model."""
    assert derive_seed(1, "noise", 64) == derive_seed(1, "noise", 64)
    assert derive_seed(1, "noise", 0) == 209214033652848756


def test_any_other_seed_purpose_or_position_draws_something_else():
    seeds = {
        derive_seed(seed, purpose, position)
        for seed in range(5)
        for purpose in ("noise", "order", "layers", "noise/1")
        for position in (-1, 0, 1, 10, 64)
    }
    assert len(seeds) == 5 * 4 * 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_draw_does_not_hang_on_those_before_it():
    randomness = Randomness(3, CPU)
    alone = torch.randn(4, generator=Randomness(3, CPU).generator("noise", 640))
    for position in range(0, 640, 64):
        torch.randn(4, generator=randomness.generator("noise", position))
    torch.randn(10)
    assert torch.equal(torch.randn(4, generator=randomness.generator("noise", 640)), alone)


def test_layers_draw_the_same_after_a_resume():
    dropout = torch.nn.Dropout(0.5)
    randomness = Randomness(3, CPU)
    randomness.seed_layers(128)
    first = dropout(torch.ones(100))
    randomness.seed_layers(192)
    assert not torch.equal(dropout(torch.ones(100)), first)
    randomness.seed_layers(128)
    assert torch.equal(dropout(torch.ones(100)), first)


def test_a_permutation_holds_every_image_once_and_differs_by_epoch():
    randomness = Randomness(3, CPU)
    orders = [randomness.permutation(epoch, 50) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert not torch.equal(orders[0], orders[1]) and not torch.equal(orders[1], orders[2])
    assert torch.equal(randomness.permutation(1, 50), orders[1])
