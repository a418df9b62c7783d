"""Our Adam against torch's own, which runs the same kernel: equal bits."""

import copy

import pytest
import torch
from torch import nn

from reprogan.systems.adam import Adam


def network() -> nn.Sequential:
    """Weights in both memory layouts, with a bias, and one that lies as its gradient does not."""
    torch.manual_seed(1)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 3, bias=False), nn.Flatten(), nn.Linear(32, 1)
    )
    layers[0].to(memory_format=torch.channels_last)
    return layers


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_the_same_bits_as_torchs_fused_optimiser(weight_decay):
    ours, theirs = network(), network()
    adam = Adam(ours.parameters(), 1e-3, (0.5, 0.99), weight_decay)
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    reference = kind(theirs.parameters(), lr=1e-3, betas=(0.5, 0.99), weight_decay=weight_decay, fused=True)
    for step in range(5):
        factor = (1.0, 0.5)[step % 2]
        images = torch.randn(6, 3, 8, 8).to(memory_format=torch.channels_last)
        adam.rate_factor = factor
        adam.descend(ours(images).square().mean())
        reference.param_groups[0]["lr"] = 1e-3 * factor
        reference.zero_grad()
        theirs(images).square().mean().backward()
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_gradient_that_lies_otherwise_is_laid_out_as_its_weight():
    weight, straight = nn.Parameter(torch.arange(6.0).view(2, 3)), nn.Parameter(torch.arange(6.0).view(2, 3))
    gradient = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    with torch.no_grad():
        Adam([weight], 0.1, (0.9, 0.999)).step(gradient.t().contiguous().t())
        Adam([straight], 0.1, (0.9, 0.999)).step(gradient)
    assert torch.equal(weight, straight)


def test_only_its_own_weights_get_gradients():
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    before = copy.deepcopy(first.state_dict())
    Adam(second.parameters(), 0.1, (0.9, 0.999)).descend(second(first(torch.ones(1, 2))).sum())
    assert all(torch.equal(value, before[key]) for key, value in first.state_dict().items())
    assert all(weight.grad is None for weight in [*first.parameters(), *second.parameters()])


def test_going_on_from_its_state():
    images = torch.randn(4, 3, 8, 8)
    whole, halves = network(), network()
    adam, first = (Adam(net.parameters(), 1e-2, (0.9, 0.99)) for net in (whole, halves))
    for _ in range(2):
        adam.descend(whole(images).square().mean())
        first.descend(halves(images).square().mean())
    second = Adam(halves.parameters(), 1e-2, (0.9, 0.99))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        adam.descend(whole(images).square().mean())
        second.descend(halves(images).square().mean())
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters(), strict=True))
