"""The networks for faces: the book's feature maps; what lets the progressive ones grow, each against its formula."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.models.progan import EqualisedConv2d, EqualisedLinear, MinibatchDeviation, PixelNorm

COLOUR = (3, 128, 128)
BOOK = {"latent_size": 100, "latent_distribution": "normal", "width": 256, "init_std": None}
GROWING = {"latent_size": 6, "latent_distribution": "normal", "widths": [8, 6, 4]}
SAGAN = {
    "latent_size": 8,
    "latent_distribution": "normal",
    "filters": 2,
    "discriminator_norm": "spectral",
    "generator_spectral": False,
    "generator_attention": [16],
    "discriminator_attention": [16],
    "init_std": None,
}


def grown(level: int, alpha: float) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    networks = architecture.build("progan", GROWING, (3, 16, 16), 0)
    for network in networks.values():
        network.grow(level, alpha)
    return networks


# ---- the book's ---------------------------------------------------------------------------------------------------


def test_the_books_layers_and_feature_maps():
    networks = architecture.build("dcgan128", BOOK, COLOUR, 0)
    kinds = {"generator": nn.ConvTranspose2d, "discriminator": nn.Conv2d}
    expected = {"generator": [11, 28, 62, 128], "discriminator": [128, 61, 27, 10]}
    for name, network in networks.items():
        layers = [layer for layer in network.modules() if isinstance(layer, kinds[name])]
        assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers] == [
            (3, 256, 8, 2),
            (256, 256, 8, 2),
            (256, 3, 8, 2),
        ]
        assert [layer.padding[0] for layer in layers] == ([0, 0, 1] if name == "generator" else [0, 0, 0])
        x = network.eval().layers[:3](torch.randn(1, 100)) if name == "generator" else torch.randn(1, *COLOUR)
        sides = [x.shape[2]]
        for layer in layers:
            x = layer(x)
            sides.append(x.shape[2])
        assert sides == expected[name]
        linear = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
        assert (linear.in_features, linear.out_features) == {
            "generator": (100, 3 * 11 * 11),
            "discriminator": (300, 1),
        }[name]
    assert sum(isinstance(m, nn.GELU) for m in networks["generator"].modules()) == 3
    assert sum(isinstance(m, nn.GELU) for m in networks["discriminator"].modules()) == 3


def test_the_books_generator_gives_images_in_range():
    generator = architecture.build("dcgan128", BOOK | {"width": 4}, COLOUR, 0)["generator"]
    images = generator(torch.randn(4, 100)).detach()
    assert images.shape == (4, *COLOUR) and -1 <= float(images.min()) < -0.2 < 0.2 < float(images.max()) <= 1


def test_sagan_at_128_has_one_more_layer():
    networks = architecture.build("dcgan64", SAGAN, COLOUR, 0)
    up = [layer for layer in networks["generator"].modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(c.in_channels, c.out_channels) for c in up] == [(8, 16), (16, 16), (16, 8), (8, 4), (4, 2), (2, 3)]
    assert networks["generator"](torch.randn(2, 8)).shape == (2, *COLOUR)
    assert networks["discriminator"](torch.randn(2, *COLOUR)).shape == (2,)
    assert [m.shape for m in networks["generator"].attention_maps(torch.randn(2, 8))] == [(2, 256, 256)]


@pytest.mark.parametrize("side", [28, 96, 32, 130])
def test_sagan_wants_64_times_a_power_of_two(side):
    with pytest.raises(UserError, match=f"the images are {side}×{side}; expected 64×64"):
        architecture.build("dcgan64", SAGAN, (3, side, side), 0)


@pytest.mark.parametrize(
    ("name", "network", "shape", "text"),
    [
        ("dcgan128", BOOK, (3, 64, 64), "the images are 64×64; expected 128×128"),
        ("progan", GROWING, (3, 32, 32), "network.widths has 3 entries, which lead to 16×16"),
        ("face_features", {"widths": [4, 4, 4], "features": 8}, (3, 6, 9), "the images are 6×9; expected at least 8×8"),
    ],
)
def test_images_of_another_size_are_refused(name, network, shape, text):
    with pytest.raises(UserError) as refused:
        architecture.build(name, network, shape, 5)
    assert text in str(refused.value) and "\n" not in str(refused.value)


def test_face_features_answers_with_a_logit_an_option():
    network = architecture.build("face_features", {"widths": [4, 8], "features": 12}, (3, 30, 31), 70)["classifier"]
    images = torch.randn(5, 3, 30, 31)
    assert network.features(images).shape == (5, 12) and network(images).shape == (5, 70)
    assert torch.equal(network.eval()(images), network.head(network.features(images)))


# ---- the progressive ones' layers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "size"), [(5, 1), (16, 3), (64, 3)])
def test_an_equalised_convolution_scales_its_weights_as_it_uses_them(inputs, size):
    torch.manual_seed(0)
    layer = EqualisedConv2d(inputs, 400, size)
    assert layer.weight.std().item() == pytest.approx(1.0, abs=0.05) and not layer.bias.any()
    x = torch.randn(3, inputs, 6, 6)
    expected = conv2d(x, layer.weight * math.sqrt(2 / (inputs * size**2)), layer.bias, padding=size // 2)
    torch.testing.assert_close(layer(x), expected)
    assert layer(torch.randn(60, inputs, 9, 9))[:, :, 4, 4].var().item() == pytest.approx(2.0, rel=0.1)


def test_an_equalised_matrix_scales_its_weights_as_it_uses_them():
    layer = EqualisedLinear(50, 7, 0.5)
    x = torch.randn(4, 50)
    torch.testing.assert_close(layer(x), x @ layer.weight.T * (0.5 / math.sqrt(50)) + layer.bias)


def test_one_step_of_adam_moves_layers_of_any_size_as_far_for_their_range():
    """What the rate is equal in: weights move by the rate, whatever the fan-in, and their range is 1."""
    for inputs in (4, 256):
        layer = EqualisedConv2d(inputs, 8, 3)
        before = layer.weight.detach().clone()
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
        layer(torch.randn(8, inputs, 4, 4)).square().sum().backward()
        optimiser.step()
        assert (layer.weight - before).abs().mean().item() == pytest.approx(0.01, rel=0.05)


def test_pixel_norm_by_loops():
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    normed = PixelNorm()(x)
    for n in range(2):
        for row in range(3):
            for column in range(4):
                values = x[n, :, row, column].tolist()
                root = math.sqrt(sum(v * v for v in values) / 5 + 1e-8)
                assert normed[n, :, row, column].tolist() == pytest.approx([v / root for v in values])


@pytest.mark.parametrize(("count", "size"), [(8, 4), (4, 4), (6, 6), (3, 3), (1, 1)])
def test_minibatch_deviation_by_loops(count, size):
    x = torch.randn(count, 3, 2, 2, dtype=torch.float64)
    found = MinibatchDeviation()(x)
    assert found.shape == (count, 4, 2, 2) and torch.equal(found[:, :3], x)
    for first in range(0, count, size):
        group, deviations = x[first : first + size], []
        for channel in range(3):
            for place in range(4):
                values = group[:, channel].flatten(1)[:, place].tolist()
                mean = sum(values) / size
                deviations.append(math.sqrt(sum((v - mean) ** 2 for v in values) / size + 1e-8))
        assert found[first : first + size, 3].flatten().tolist() == pytest.approx(
            [sum(deviations) / len(deviations)] * (size * 4)
        )


def test_minibatch_deviation_of_equal_images_has_a_gradient():
    x = torch.ones(4, 2, 2, 2, requires_grad=True)
    MinibatchDeviation()(x).sum().backward()
    assert torch.isfinite(x.grad).all()


# ---- growing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("level", [1, 2])
def test_a_fading_generator_blends_two_resolutions(level, alpha):
    generator = grown(level, alpha)["generator"]
    z = torch.randn(4, 6)
    before = z
    for block in generator.blocks[:level]:
        before = block(before)
    small = interpolate(generator.to_image[level - 1](before), scale_factor=2.0, mode="nearest")
    large = generator.to_image[level](generator.blocks[level](before))
    assert generator(z).shape == (4, 3, 4 * 2**level, 4 * 2**level)
    torch.testing.assert_close(generator(z), (1 - alpha) * small + alpha * large)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("level", [1, 2])
def test_a_fading_discriminator_blends_two_resolutions(level, alpha):
    discriminator = grown(level, alpha)["discriminator"]
    images = torch.randn(4, 3, 4 * 2**level, 4 * 2**level)
    large = discriminator.blocks[level](discriminator.from_image[level](images))
    small = discriminator.from_image[level - 1](avg_pool2d(images, 2))
    x = (1 - alpha) * small + alpha * large
    for block in reversed(discriminator.blocks[:level]):
        x = block(x)
    torch.testing.assert_close(discriminator(images), x)


def test_at_alpha_0_the_new_layers_change_nothing_yet():
    z, images = torch.randn(4, 6), torch.randn(4, 3, 16, 16)
    before, now = grown(1, 1.0), grown(2, 0.0)
    small = interpolate(before["generator"](z), scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(now["generator"](z), small)
    torch.testing.assert_close(now["discriminator"](images), before["discriminator"](avg_pool2d(images, 2)))


@pytest.mark.parametrize(("level", "alpha"), [(0, 1.0), (1, 0.5), (1, 1.0), (2, 0.25)])
def test_weights_in_use_are_those_with_a_gradient(level, alpha):
    for name, network in grown(level, alpha).items():
        inputs = torch.randn(4, 6) if name == "generator" else torch.randn(4, 3, network.side, network.side)
        network(inputs).square().sum().backward()
        moved = {id(weight) for weight in network.parameters() if weight.grad is not None}
        in_use = {id(weight) for weight in network.weights(level)}
        assert moved <= in_use
        if alpha < 1:
            assert moved == in_use


def test_a_built_network_is_full_grown():
    networks = architecture.build("progan", GROWING, (3, 16, 16), 0)
    assert networks["generator"](torch.randn(2, 6)).shape == (2, 3, 16, 16)
    assert not any("alpha" in key for key in networks["generator"].state_dict())


def test_outputs_keep_their_scale_at_each_level():
    """Without equalised rates or pixel norm, values would grow or shrink with each block."""
    for level in range(3):
        generator = grown(level, 1.0)["generator"]
        values: Tensor = generator(torch.randn(200, 6))
        assert 0.2 < values.std().item() < 2.5
