"""The weight average against a plain loop."""

import pytest
import torch
from torch import nn

from reprogan.training.ema import WeightAverage


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def test_against_a_loop_over_tensors():
    trained = network()
    average = WeightAverage(trained, half_life=100)
    expected = {name: tensor.clone().double() for name, tensor in trained.state_dict().items()}
    batch = 16
    for step in range(1, 60):
        with torch.no_grad():
            trained(torch.randn(8, 1, 3, 3))  # BatchNorm's statistics move
            for weight in trained.parameters():
                weight += torch.randn_like(weight)
        average.update(step * batch, batch)
        kept = 0.5 ** (batch / min(100, step * batch / 4))
        for name, tensor in trained.state_dict().items():
            expected[name] = kept * expected[name] + (1 - kept) * tensor.double()
    found = average.network.state_dict()
    for name, tensor in expected.items():
        if found[name].is_floating_point():
            torch.testing.assert_close(found[name].double(), tensor, rtol=1e-4, atol=1e-5)
    assert found["1.num_batches_tracked"] == trained.state_dict()["1.num_batches_tracked"]


def test_after_a_half_life_half_is_left():
    trained = nn.Linear(1, 1)
    average = WeightAverage(trained, half_life=1000)
    with torch.no_grad():
        average.network.weight.fill_(0)
        trained.weight.fill_(1)
    for step in range(1000 // 50):
        average.update(100_000 + step * 50, 50)
    assert average.network.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_the_average_is_a_network_of_its_own():
    trained = network()
    average = WeightAverage(trained, half_life=10)
    assert not average.network.training and trained.training
    assert not any(weight.requires_grad for weight in average.network.parameters())
    with torch.no_grad():
        trained[3].weight.fill_(9)
    assert not (average.network[3].weight == 9).any()


def test_the_singular_vectors_of_spectral_normalisation_keep_their_length():
    """A mean of unit vectors is shorter than one, and the averaged layer would grow by as much."""
    torch.manual_seed(1)
    trained = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5))
    average = WeightAverage(trained, half_life=1000)
    for step in range(1, 20):
        with torch.no_grad():
            trained.parametrizations.weight.original.normal_()
            trained(torch.randn(1, 6))
        average.update(step * 50, 50)
    inner = average.network.parametrizations.weight[0]
    assert inner._u.norm().item() == pytest.approx(1, abs=1e-5)
    assert inner._v.norm().item() == pytest.approx(1, abs=1e-5)
