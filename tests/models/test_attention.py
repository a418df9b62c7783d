"""Self-attention against loops over positions, and where the networks for 64×64 images attend."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from reprogan.errors import UserError
from reprogan.models import architecture, dcgan64
from reprogan.models.dcgan64 import SelfAttention

SAGAN = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "spectral",
    "generator_spectral": True,
    "generator_attention": [8, 16],
    "discriminator_attention": [8, 4],
    "init_std": None,
}


def attention(channels: int, gamma: float) -> SelfAttention:
    """A layer in eval mode, whose weights stand still, with strong queries and keys."""
    torch.manual_seed(1)
    layer = SelfAttention(channels).eval().requires_grad_(False)
    layer.gamma.fill_(gamma)
    layer.query.bias.mul_(5)
    return layer


def projected(layer: nn.Conv2d, position: Tensor) -> Tensor:
    """A 1×1 convolution at one position (C,)."""
    return layer.weight[:, :, 0, 0] @ position + layer.bias


def by_loops(layer: SelfAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Zhang et al. 2019, Equations 1 to 3, one position after the other: output and map."""
    output, maps = torch.empty_like(x), []
    for number, image in enumerate(x):
        positions = [image[:, row, column] for row in range(x.shape[2]) for column in range(x.shape[3])]
        weights = torch.empty(len(positions), len(positions))
        for j, here in enumerate(positions):
            scores = [
                math.exp(float(projected(layer.query, here) @ projected(layer.key, there))) for there in positions
            ]
            weights[j] = torch.tensor([score / sum(scores) for score in scores])
            attended = sum(weights[j, i] * projected(layer.value, there) for i, there in enumerate(positions))
            row, column = divmod(j, x.shape[3])
            output[number, :, row, column] = here + layer.gamma * attended
        maps.append(weights)
    return output, torch.stack(maps)


@pytest.mark.parametrize("channels", [1, 4, 16, 24])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels"])
def test_against_loops_over_positions(channels, layout):
    layer = attention(channels, gamma=0.7)
    x = 2 * torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(2)).to(memory_format=layout)
    output, maps = by_loops(layer, x)
    assert layer.query.out_channels == layer.key.out_channels == max(1, channels // 8)
    torch.testing.assert_close(layer(x), output, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.attention_map(x), maps, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(layer.attention_map(x).sum(2), torch.ones(2, 12))
    assert (output - x).abs().max() > 0.1 and maps.std() > 0.01


def test_gradients_are_those_of_the_loops():
    layer = attention(8, gamma=0.7)
    x = torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    (found,) = torch.autograd.grad(layer(x).square().sum(), x)
    positions = x[0].flatten(1).t()
    query, key, value = (
        p @ m.weight[:, :, 0, 0].t() + m.bias
        for p, m in zip([positions] * 3, (layer.query, layer.key, layer.value), strict=True)
    )
    output = positions + layer.gamma * torch.softmax(query @ key.t(), 1) @ value
    (expected,) = torch.autograd.grad(output.square().sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_begins_as_nothing_and_can_learn():
    torch.manual_seed(1)
    layer, x = SelfAttention(8), torch.randn(2, 8, 4, 4)
    assert layer.gamma.item() == 0 and torch.equal(layer(x), x)
    (slope,) = torch.autograd.grad((layer(x) * torch.randn_like(x)).sum(), layer.gamma)
    assert slope.abs() > 1e-3
    assert all(is_parametrized(projection, "weight") for projection in (layer.query, layer.key, layer.value))


def test_a_map_that_does_not_fit_is_one_line(monkeypatch):
    layer, x = attention(8, 0.0), torch.zeros(4, 8, 16, 16)
    monkeypatch.setattr(dcgan64, "_free_memory", lambda: 4 * 256 * 256 * 4 - 1)
    with pytest.raises(UserError, match=r"self-attention over 16×16 positions of 4 images: the map wants 0\.0 GiB"):
        layer.attention_map(x)
    monkeypatch.setattr(dcgan64, "_free_memory", lambda: 3 * 2**30 // 2)
    with pytest.raises(UserError) as error:
        layer.attention_map(torch.zeros(1, 8, 256, 128).expand(2, 8, 256, 128))
    assert "over 256×128 positions of 2 images: the map wants 8.0 GiB; 1.5 are free" in str(error.value)
    assert "\n" not in str(error.value)
    layer(x)


def test_free_memory_is_a_number_of_bytes():
    assert 2**20 < dcgan64._free_memory() < 2**50


def test_where_the_networks_attend():
    networks = architecture.build("dcgan64", SAGAN, (1, 64, 64), 10)
    seen: dict[str, list[tuple[int, ...]]] = {}
    for name, network in networks.items():
        seen[name] = []
        for layer in network.modules():
            if isinstance(layer, SelfAttention):
                layer.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(tuple(inputs[0].shape)))
    images = networks["generator"](torch.randn(2, 6))
    assert images.shape == (2, 1, 64, 64) and images.abs().max() <= 1
    assert networks["discriminator"](images).shape == (2,)
    assert seen == {"generator": [(2, 16, 8, 8), (2, 8, 16, 16)], "discriminator": [(2, 16, 8, 8), (2, 32, 4, 4)]}
    assert networks["generator"].attends


def test_the_maps_are_those_of_the_layers_inputs():
    torch.manual_seed(1)
    generator = architecture.build("dcgan64", SAGAN, (1, 64, 64), 10)["generator"].eval().requires_grad_(False)
    layers = [layer for layer in generator.modules() if isinstance(layer, SelfAttention)]
    inputs: list[Tensor] = []
    for layer in layers:
        layer.gamma.fill_(0.5)
        layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    z = torch.randn(2, 6)
    generator(z)
    maps = list(generator.attention_maps(z))
    assert [tuple(found.shape) for found in maps] == [(2, 64, 64), (2, 256, 256)]
    for layer, x, found in zip(layers, inputs[:2], maps, strict=True):
        position = 37
        here = x[1].flatten(1)[:, position]
        scores = [projected(layer.query, here) @ projected(layer.key, there) for there in x[1].flatten(1).t()]
        torch.testing.assert_close(found[1, position], torch.softmax(torch.stack(scores), 0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spectral", [True, False])
def test_spectral_normalisation_of_the_generator(spectral):
    settings = SAGAN | {"generator_spectral": spectral, "generator_attention": []}
    generator = architecture.build("dcgan64", settings, (1, 64, 64), 10)["generator"]
    up = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [is_parametrized(m, "weight") for m in up[:4]] == [spectral] * 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in generator.modules()) == 4
    assert not generator.attends


@pytest.mark.parametrize("side", [0, 7, 64])
def test_a_side_that_no_layer_has(side):
    with pytest.raises(UserError, match=r"network.generator_attention(.0)?: found"):
        architecture.build("dcgan64", SAGAN | {"generator_attention": [side]}, (1, 64, 64), 10)
