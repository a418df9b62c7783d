"""The residual networks: no normalisation, no tanh, branches that begin at zero, resampling by hand."""

import math

import pytest
import torch
from torch import nn

from reprogan.errors import UserError
from reprogan.models import architecture, r3gan

SETTINGS = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "widths": [16, 8, 4],
    "blocks": [1, 2, 1],
    "expansion": 2,
    "group_size": 8,
    "patch": 1,
}


def built(shape: tuple[int, int, int] = (1, 28, 28), **changes: object) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return architecture.build("r3gan", SETTINGS | changes, shape, 10)


@pytest.mark.parametrize(
    "side, blocks, sides", [(28, [1, 1, 1], [7, 14, 28]), (28, [1, 1, 1, 0], [4, 7, 14, 28]), (9, [0, 0], [5, 9])]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_side_that_can_be_halved(side, blocks, sides, channels):
    networks = built((channels, side, side), blocks=blocks, widths=[8, 4, 4, 2][: len(blocks)])
    images = networks["generator"](torch.randn(2, 6))
    assert images.shape == (2, channels, side, side)
    assert networks["discriminator"](images).shape == (2,)
    assert networks["generator"].basis.shape == (8, sides[0], sides[0])
    assert [m.side for m in networks["generator"].modules() if isinstance(m, r3gan.Up)] == sides[1:]


def test_neither_normalisation_nor_tanh_nor_at_first_a_bias_that_shifts():
    networks = built()
    kinds = {type(m).__name__ for network in networks.values() for m in network.modules() if not list(m.children())}
    assert kinds == {"Conv2d", "LeakyReLU", "Linear", "Flatten", "PixelShuffle", "PixelUnshuffle"}
    z = torch.randn(2, 6)
    one, large = (networks["generator"](scale * z) for scale in (1.0, 100.0))
    torch.testing.assert_close(large, 100 * one, rtol=1e-3, atol=1e-3)
    assert large.abs().max() > 10
    biases = {name: b for network in networks.values() for name, b in network.named_parameters() if "bias" in name}
    assert len(biases) > 0 and not any(bias.any() for bias in biases.values())


def test_each_resolutions_blocks_and_channels():
    """1×1, 3×3 in groups of `group_size` channels, 1×1, as wide as each resolution."""
    networks = built()
    for network, widths in ((networks["generator"], [16, 8, 8, 4]), (networks["discriminator"], [4, 8, 8, 16])):
        blocks = [m for m in network.modules() if isinstance(m, r3gan.Block)]
        convolutions = [[m for m in block.modules() if isinstance(m, nn.Conv2d)] for block in blocks]
        assert [[c.kernel_size[0] for c in three] for three in convolutions] == [[1, 3, 1]] * 4
        assert [[c.out_channels for c in three] for three in convolutions] == [[2 * w, 2 * w, w] for w in widths]
        assert [three[1].groups for three in convolutions] == [2 * w // 8 for w in widths]
        assert {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}


def test_branches_are_zero_at_first_and_learn_at_once():
    for network in built().values():
        for block in (m for m in network.modules() if isinstance(m, r3gan.Block)):
            x = torch.randn(2, block.layers[0].in_channels, 5, 5)
            assert torch.equal(block(x), x)
            last = block.layers[4].weight
            (slope,) = torch.autograd.grad((block(x) * torch.randn_like(x)).sum(), last)
            assert slope.abs().max() > 0.01
            with torch.no_grad():
                last.normal_()
            torch.testing.assert_close(block(x), x + block.layers(x))
            assert not torch.allclose(block(x), x, atol=0.01)


def test_initial_weights_are_scaled_for_leaky_relu_and_the_number_of_blocks():
    """He et al. 2015: √(2 / (1 + 0.2²) / fan-in); Fixup for three layers: times (blocks)^(-1/4).

    Transitions, which no activation follows, keep the variance as it is.
    """
    network = built(widths=[256, 128, 64], group_size=32)["generator"]
    blocks = [m for m in network.modules() if isinstance(m, r3gan.Block)]
    for block in blocks:
        first, grouped = block.layers[0], block.layers[2]
        for layer, fan_in in ((first, first.in_channels), (grouped, 32 * 9)):
            expected = math.sqrt(2 / 1.04 / fan_in) * 4**-0.25
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
    up = next(m for m in network.modules() if isinstance(m, r3gan.Up))
    assert up.layer.weight.std().item() == pytest.approx(math.sqrt(1 / 256), rel=0.05)


def test_down_is_the_mean_of_two_by_two_pixels():
    down = r3gan.Down(2, 3)
    x = torch.randn(1, 2, 5, 5)
    means = torch.empty(1, 2, 3, 3)
    for row in range(3):
        for column in range(3):
            means[:, :, row, column] = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((2, 3))
    expected = torch.einsum("oi,nihw->nohw", down.layer.weight[:, :, 0, 0], means)
    torch.testing.assert_close(down(x), expected)


def test_up_is_bilinear():
    """Twice the side: each new pixel is three quarters of the nearest old one and a quarter of the next."""
    up = r3gan.Up(1, 1, 6)
    with torch.no_grad():
        up.layer.weight.fill_(1.0)
    x = torch.randn(1, 1, 3, 3)
    row = torch.zeros(6, 3)
    for new in range(6):
        nearest = new // 2
        following = min(max(nearest + (1 if new % 2 else -1), 0), 2)
        row[new, nearest] += 0.75
        row[new, following] += 0.25
    torch.testing.assert_close(up(x)[0, 0], row @ x[0, 0] @ row.t())


def test_the_latent_weighs_a_learned_picture():
    generator = built()["generator"]
    z = torch.randn(3, 6)
    seen = []
    generator.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    generator(z)
    weights = z @ generator.weigh.weight.t()
    for image in range(3):
        for channel in range(16):
            torch.testing.assert_close(seen[0][image, channel], generator.basis[channel] * weights[image, channel])


@pytest.mark.parametrize("shape, found", [((1, 28, 14), "28×14"), ((1, 4, 4), "4×4")])
def test_images_that_cannot_be_halved_are_one_line(shape, found):
    with pytest.raises(UserError) as error:
        built(shape)
    assert f"architecture r3gan: the images are {found}; expected square ones, at least 8×8" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_patch_is_one_position_of_the_networks(channels):
    """With a patch of 2 the highest resolution is half the image's, in both; each pixel has channels of its own."""
    networks = built((channels, 28, 28), widths=[8, 4], blocks=[1, 1], patch=2)
    generator, discriminator = networks["generator"], networks["discriminator"]
    assert generator.basis.shape == (8, 7, 7)
    images = generator(torch.randn(2, 6))
    assert images.shape == (2, channels, 28, 28)
    assert discriminator(images).shape == (2,)

    before = generator.layers[:-1](generator.basis * generator.weigh(torch.ones(1, 6))[:, :, None, None])
    assert before.shape == (1, 4 * channels, 14, 14)
    image = generator(torch.ones(1, 6))
    for channel in range(channels):
        for row in range(2):
            for column in range(2):
                expected = before[:, 4 * channel + 2 * row + column]
                torch.testing.assert_close(image[:, channel, row::2, column::2], expected)
    torch.testing.assert_close(discriminator.layers[0](image), before)


def test_a_patch_that_does_not_divide_the_image_is_one_line():
    says = "the images are 28×28 and network.patch is 3; expected a patch that divides 28"
    with pytest.raises(UserError, match=says):
        built(patch=3)


MISTAKES = {
    "a group size that does not divide": ({"widths": [28, 14, 7], "group_size": 16}, "group_size is 16; .* divides 56"),
    "one width too many": ({"widths": [16, 8, 4, 2]}, "blocks has 3 entries and widths 4; expected as many"),
    "one resolution": ({"widths": [8], "blocks": [1]}, r"network.widths: found"),
    "no channel": ({"widths": [16, 8, 0]}, r"network.widths.2: found 0"),
    "fewer blocks than none": ({"blocks": [1, -1, 1]}, r"network.blocks.1: found -1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_sizes_that_do_not_fit_are_one_line(mistake):
    changes, says = MISTAKES[mistake]
    with pytest.raises(UserError, match=says) as error:
        built(**changes)
    assert "\n" not in str(error.value)


def test_one_group_where_a_block_is_narrower_than_a_group():
    blocks = [m for m in built(group_size=100)["generator"].modules() if isinstance(m, r3gan.Block)]
    assert [block.layers[2].groups for block in blocks] == [1] * 4
