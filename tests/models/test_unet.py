"""The U-Net and its PatchGAN: what comes across, what a logit sees, what noise decides."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.models.convolution import BatchNorm2d
from reprogan.models.normalisation import LayerNorm2d

SETTINGS = {
    "width": 2,
    "levels": 4,
    "dropout": 0.5,
    "norm": "instance",
    "patch": 16,
    "patch_width": 2,
    "patch_norm": "none",
    "init_std": None,
}
GENERATOR_NORMS = {"batch": BatchNorm2d, "instance": nn.InstanceNorm2d}
NORMS = {"instance": nn.InstanceNorm2d, "layer": LayerNorm2d}


def built(
    shape: tuple[int, int, int] = (3, 32, 32), source_channels: int = 1, **changes: object
) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return architecture.build("unet", SETTINGS | changes, shape, 0, source_channels=source_channels)


def noise_and_source(
    generator: nn.Module, count: int = 2, shape: tuple[int, ...] = (1, 32, 32)
) -> tuple[Tensor, Tensor]:
    return torch.rand(count, generator.latent_size) * 2 - 1, torch.rand(count, *shape) * 2 - 1


def watched(modules: nn.ModuleList) -> tuple[list[Tensor], list[Tensor]]:
    """What comes into each module, and what goes out of it, filled at each pass."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        inputs.append(given[0].detach().clone())
        outputs.append(found.detach().clone())

    for module in modules:
        module.register_forward_hook(keep)
    return inputs, outputs


# ---- the generator ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2, 4, 5])
def test_each_layer_up_is_given_what_the_one_down_to_the_same_side_found(levels):
    generator = built(levels=levels, dropout=0.0)["generator"]
    found_down = watched(generator.down)[1]
    inputs, found_up = watched(nn.ModuleList([*generator.up, generator.last]))
    image = generator(*noise_and_source(generator))
    widths = [2 * min(2**level, 8) for level in range(levels)]
    assert [tuple(x.shape) for x in found_down] == [
        (2, width, 32 >> level + 1, 32 >> level + 1) for level, width in enumerate(widths)
    ]
    assert len(inputs) == levels and torch.equal(inputs[0], found_down[-1])
    for given, below, beside in zip(inputs[1:], found_up, reversed(found_down[:-1]), strict=False):
        assert torch.equal(given, torch.cat((below, beside), 1)) and below.shape == beside.shape
    assert torch.equal(found_up[-1], image) and image.shape == (2, 3, 32, 32)


def test_layers():
    """Isola et al. 2017, section 6.1.1: 4×4 kernels of stride 2, LeakyReLU(0.2) down, ReLU up, tanh at the end."""
    generator = built((3, 64, 64), levels=6)["generator"]
    down = [m for m in generator.down.modules() if isinstance(m, nn.Conv2d)]
    up = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(c.in_channels, c.out_channels) for c in down] == [(1, 2), (2, 4), (4, 8), (8, 16), (16, 16), (16, 16)]
    assert [(c.in_channels, c.out_channels) for c in up] == [(16, 16), (32, 16), (32, 8), (16, 4), (8, 2), (4, 3)]
    assert {(c.kernel_size, c.stride, c.padding) for c in [*down, *up]} == {((4, 4), (2, 2), (1, 1))}
    slopes = [m.negative_slope for m in generator.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 5 and sum(isinstance(m, nn.ReLU) for m in generator.modules()) == 6


@pytest.mark.parametrize("shape, source_channels", [((3, 32, 32), 1), ((1, 16, 48), 3)])
def test_images_are_between_black_and_white(shape, source_channels):
    generator = built(shape, source_channels)["generator"]
    source = 100 * torch.randn(2, source_channels, *shape[1:])
    image = generator(torch.zeros(2, generator.latent_size), source)
    assert image.shape == (2, *shape) and image.dtype == torch.float32
    assert 0.3 < image.abs().max() <= 1 and image.min() < 0 < image.max()


@pytest.mark.parametrize("norm", [*GENERATOR_NORMS, "none"])
def test_the_norm_of_a_generator(norm):
    """After all convolutions but the first and last, and that of a single pixel; those before a norm have no bias."""
    for side, singles in ((32, 0), (16, 1)):
        generator = built((3, side, side), norm=norm)["generator"]
        found = [type(m) for m in generator.modules() if isinstance(m, tuple(GENERATOR_NORMS.values()))]
        assert found == ([GENERATOR_NORMS[norm]] * (6 - singles) if norm != "none" else [])
        down = [m.bias is not None for m in generator.down.modules() if isinstance(m, nn.Conv2d)]
        normed = norm != "none"
        assert down == [True, not normed, not normed, not normed or singles == 1]
        up = [m.bias is not None for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
        assert up == [not normed] * 3 + [True]
        z, source = noise_and_source(generator, shape=(1, side, side))
        first, second = generator(z, source), generator(z, -source)
        assert torch.isfinite(first).all() and not torch.allclose(first, second)


def test_initial_weights_with_a_standard_deviation():
    networks = built((3, 128, 128), levels=7, width=8, patch=70, patch_width=16, init_std=0.02)
    for network in networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)
                assert layer.bias is None or not layer.bias.any()


# ---- its noise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
def test_z_says_number_by_number_what_is_kept(dropout):
    """In the three deepest layers up, what is kept is divided by its expected share."""
    generator = built(dropout=dropout, levels=5, norm="none")["generator"]
    found = watched(generator.up)[1]
    inputs, _ = watched(nn.ModuleList([*generator.up[1:], generator.last]))
    z, source = noise_and_source(generator, count=40)
    generator(z, source)
    shapes = [(16, 2, 2), (8, 4, 4), (4, 8, 8)]
    assert generator.latent_size == sum(math.prod(shape) for shape in shapes)
    rest = z
    for below, given, shape in zip(found, inputs, shapes, strict=False):
        here, rest = rest[:, : math.prod(shape)], rest[:, math.prod(shape) :]
        kept = (here + 1) / 2 >= dropout  # a share 1 - dropout of U(0, 1)
        expected = torch.where(kept.reshape(40, *shape), below / (1 - dropout), 0.0)
        torch.testing.assert_close(given[:, : shape[0]], expected)
        assert kept.float().mean().item() == pytest.approx(1 - dropout, abs=0.03)
    assert torch.equal(inputs[3][:, :2], found[3])


def test_an_image_is_a_function_of_noise_and_source():
    generator = built()["generator"]
    assert generator.latent_distribution == "uniform" and generator.reads == "sources"
    z, source = noise_and_source(generator)
    image = generator(z, source)
    assert torch.equal(generator(z, source), image)
    assert torch.equal(generator.eval()(z, source), image)
    assert not torch.allclose(generator(z.flip(0), source), image, atol=1e-3)
    assert not torch.allclose(generator(z, source.flip(0)), image, atol=1e-3)


def test_without_dropout_noise_changes_nothing():
    generator = built(dropout=0.0)["generator"]
    z, source = noise_and_source(generator)
    assert torch.equal(generator(z, source), generator(torch.full_like(z, -1.0), source))


def test_a_single_level_has_no_noise():
    generator = built(levels=1)["generator"]
    z, source = noise_and_source(generator)
    assert generator.latent_size == 1 and torch.equal(generator(z, source), generator(-z, source))


# ---- the discriminator --------------------------------------------------------------------------------------------


def pixels_seen(discriminator: nn.Module, side: int, row: int, column: int) -> Tensor:
    """Which pixels of an image and its source change the logit at that place, bool (side, side)."""
    given = [torch.randn(1, channels, side, side, dtype=torch.float64, requires_grad=True) for channels in (1, 3)]
    logit = discriminator(*given)[0, 0, row, column]
    of_source, of_image = (gradient[0].abs().amax(0) > 0 for gradient in torch.autograd.grad(logit, given))
    assert torch.equal(of_source, of_image)
    return of_source


@pytest.mark.parametrize("patch, side, first", [(1, 16, 8), (16, 32, 9), (34, 64, 17), (70, 128, 33), (142, 256, 65)])
def test_a_logit_sees_a_square_of_that_many_pixels(patch, side, first):
    """By the support of its gradient, in the middle of an image that is large enough."""
    discriminator = built((3, side, side), patch=patch)["discriminator"].double()
    logits = discriminator(*(torch.zeros(1, channels, side, side, dtype=torch.float64) for channels in (1, 3)))
    assert logits.shape[:2] == (1, 1) and logits.shape[2] == logits.shape[3] == (14 if patch > 1 else side)
    middle = logits.shape[2] // 2
    expected = torch.zeros(side, side, dtype=torch.bool)
    expected[first : first + patch, first : first + patch] = True
    seen = pixels_seen(discriminator, side, middle, middle)
    assert torch.equal(seen, expected) and int(seen.sum()) == patch**2


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_the_patch_image_covers_the_image(side):
    """A field as wide as the image lies aside by half a stride: a logit in the middle may miss one row and column."""
    discriminator = built((3, side, side), patch="image")["discriminator"].double()
    count = discriminator(*(torch.zeros(1, c, side, side, dtype=torch.float64) for c in (1, 3))).shape[2]
    middle = {(count - 1) // 2, count // 2}
    seen = [pixels_seen(discriminator, side, row, column) for row in middle for column in middle]
    assert torch.stack(seen).any(0).all()
    assert all(int(some.any(0).sum()) >= side - 1 and int(some.any(1).sum()) >= side - 1 for some in seen)


def test_layers_of_the_discriminator():
    """Isola et al. 2017, section 6.1.2: C64-C128-C256-C512 and one logit a patch."""
    discriminator = built((3, 64, 64), patch=70, patch_width=64)["discriminator"]
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [c.in_channels for c in convolutions] == [4, 64, 128, 256, 512]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]
    assert {(c.kernel_size, c.padding) for c in convolutions} == {((4, 4), (1, 1))}
    assert [m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)] == [0.2] * 4
    pixel = built(patch=1, patch_width=64)["discriminator"]
    convolutions = [m for m in pixel.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (4, 64, (1, 1)),
        (64, 128, (1, 1)),
        (128, 1, (1, 1)),
    ]


@pytest.mark.parametrize("norm", [*NORMS, "spectral", "none"])
def test_the_norm_of_a_discriminator(norm):
    """After all convolutions but the first and last; those before a norm have no bias."""
    discriminator = built((3, 64, 64), patch=70, patch_norm=norm)["discriminator"]
    found = [type(m) for m in discriminator.modules() if isinstance(m, tuple(NORMS.values()))]
    assert found == ([NORMS[norm]] * 3 if norm in NORMS else [])
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [is_parametrized(m, "weight") for m in convolutions] == [norm == "spectral"] * 4 + [False]
    assert [m.bias is not None for m in convolutions] == [True] + [norm not in NORMS] * 3 + [True]
    logits = discriminator(torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, 1, 6, 6) and torch.isfinite(logits).all()


@pytest.mark.parametrize(("patch", "side"), [(70, 16), (142, 32), (286, 64)])
def test_a_patch_that_leaves_nothing_of_the_image(patch, side):
    with pytest.raises(UserError, match=rf"network.patch is {patch}; the images are {side}×{side}; expected a smaller"):
        built((3, side, side), patch=patch)
    built((3, 2 * side, 2 * side), patch=patch)


def test_an_image_that_no_patch_covers():
    with pytest.raises(UserError, match=r"network\.patch is image; the images are 512×512; at most 286 a side"):
        built((3, 512, 512), patch="image")


def test_without_a_patch_there_is_no_discriminator():
    assert list(built(patch=None)) == ["generator"]


# ---- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 24, 32), (3, 32, 40)])
def test_sides_that_cannot_be_halved_so_often_are_one_line(shape):
    with pytest.raises(UserError) as error:
        built(shape)
    assert str(error.value) == (
        f"architecture unet: the images are {shape[1]}×{shape[2]}; expected sides that 16 divides for network.levels 4"
    )
    assert built(shape, levels=3)["generator"].latent_size > 1


def test_data_without_sources_is_one_line():
    with pytest.raises(UserError, match="architecture unet: the data has no sources; expected data: a name under"):
        built(source_channels=0)


@pytest.mark.parametrize(
    "changes, key", [({"patch": 71}, "patch"), ({"dropout": 1.0}, "dropout"), ({"levels": 0}, "levels")]
)
def test_other_settings_are_refused(changes, key):
    with pytest.raises(UserError, match=rf"params.yaml: network\.{key}"):
        built(**changes)
