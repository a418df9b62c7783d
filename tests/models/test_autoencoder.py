"""Autoencoders: layers, shapes and ranges of both kinds."""

import pytest
import torch
from torch import nn

from reprogan.errors import UserError
from reprogan.models import architecture

SETTINGS = {"layers": "fully_connected", "latent_size": 3, "width": 8, "variational": False}
KINDS = ["fully_connected", "convolutional"]


def built(shape: tuple[int, int, int] = (1, 28, 28), **changes: object) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return architecture.build("autoencoder", SETTINGS | changes, shape, 10)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 12, 8)])
@pytest.mark.parametrize("variational", [True, False])
@pytest.mark.parametrize("layers", KINDS)
def test_shapes_and_ranges(layers, variational, shape):
    networks = built(shape, layers=layers, variational=variational)
    images = torch.rand(5, *shape) * 2 - 1
    assert networks["encoder"](images).shape == (5, 6 if variational else 3)
    codes = 30 * torch.randn(5, 3)
    logits, decoded = networks["decoder"].logits(codes), networks["decoder"](codes)
    assert logits.shape == decoded.shape == (5, *shape)
    torch.testing.assert_close(decoded, 2 / (1 + torch.exp(-logits)) - 1)
    assert logits.abs().max() > 1 and decoded.abs().max() <= 1
    assert networks["decoder"].latent_size == 3
    assert getattr(networks["decoder"], "latent_distribution", None) == ("normal" if variational else None)


def test_fully_connected_layers_mirror_each_other():
    networks = built(variational=True)
    sizes = {
        name: [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
        for name, network in networks.items()
    }
    assert sizes == {"encoder": [(784, 8), (8, 4), (4, 6)], "decoder": [(3, 4), (4, 8), (8, 784)]}
    assert [sum(isinstance(m, nn.ReLU) for m in network.modules()) for network in networks.values()] == [2, 2]


def test_convolutional_layers_mirror_each_other():
    networks = built(layers="convolutional")
    down = [m for m in networks["encoder"].modules() if isinstance(m, nn.Conv2d)]
    up = [m for m in networks["decoder"].modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in down] == [(1, 8), (8, 16)]
    assert [(m.in_channels, m.out_channels) for m in up] == [(16, 8), (8, 1)]
    assert {(m.kernel_size, m.stride, m.padding) for m in [*down, *up]} == {((4, 4), (2, 2), (1, 1))}
    assert networks["encoder"].layers[-1].in_features == networks["decoder"].layers[0].out_features == 16 * 7 * 7


@pytest.mark.parametrize("shape", [(1, 30, 28), (1, 28, 27)])
def test_images_that_cannot_be_halved_twice_are_one_line(shape):
    with pytest.raises(UserError) as error:
        built(shape, layers="convolutional")
    found = f"{shape[1]}×{shape[2]}"
    assert f"architecture autoencoder: the images are {found}; expected sides that 4 divides" in str(error.value)
    assert "\n" not in str(error.value)
    assert built(shape)["decoder"](torch.zeros(1, 3)).shape == (1, *shape)


def test_the_smallest_width_still_tells_images_apart():
    """Half of one hidden unit is none."""
    try:
        networks = built(width=1)
    except UserError as error:
        assert "width" in str(error)
    else:
        assert all(weight.numel() for network in networks.values() for weight in network.parameters())
