"""Residual networks without normalisation, for the relativistic objective with R1 and R2.

At each resolution a transition (bilinear up, the mean of 2×2 pixels down, and a 1×1 convolution) and residual blocks:
1×1, grouped 3×3, 1×1. The last convolution of a block begins at zero, so that at first only the transitions
speak; there is no normalisation and no tanh. With `patch` 2 the highest resolution is half the image's, and four
channels there stand for each 2×2 pixels: what a block at full resolution costs is saved in both networks.

Source: Huang, Gokaslan, Kuleshov and Tompkin 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline"
(R3GAN), section 4; the scaling of initial weights after Zhang et al. 2019 (Fixup).
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import Conv2d
from reprogan.models.layers import Linear

_SLOPE = 0.2
Width = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # keeps the variance through LeakyReLU (He et al. 2015)


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `r3gan`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    widths: tuple[Width, ...] = Field(strict=False, min_length=2, description="channels, lowest resolution first")
    blocks: tuple[Count, ...] = Field(strict=False, description="residual blocks at each of these resolutions")
    expansion: int = Field(ge=1, description="channels inside a block, as a multiple of those outside")
    group_size: int = Field(ge=1, description="channels of each group of the 3×3 convolutions")
    patch: int = Field(ge=1, description="side of the squares of pixels that are one position of the networks")

    @model_validator(mode="after")
    def _as_many_widths_as_blocks(self) -> "Parameters":
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"blocks has {len(self.blocks)} entries and widths {len(self.widths)}; expected as many")
        for width in self.widths:
            inner = width * self.expansion
            if inner > self.group_size and inner % self.group_size:
                raise ValueError(f"group_size is {self.group_size}; expected a number that divides {inner}")
        return self


class Block(nn.Module):
    """x + a branch of convolutions 1×1, 3×3 in groups, 1×1: (N, C, H, W) => the same shape."""

    def __init__(self, channels: int, parameters: Parameters) -> None:
        super().__init__()
        inner = channels * parameters.expansion
        groups = max(1, inner // parameters.group_size)
        # Fixup for branches of three layers: L^(-1 / (2·3 - 2)); and what LeakyReLU takes from the variance.
        scale = _GAIN * max(1, sum(parameters.blocks)) ** -0.25
        self.layers = nn.Sequential(
            _convolution(channels, inner, 1, scale, bias=True),
            nn.LeakyReLU(_SLOPE),
            _convolution(inner, inner, 3, scale, groups, bias=True),
            nn.LeakyReLU(_SLOPE),
            _convolution(inner, channels, 1, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Up(nn.Module):
    """(N, C, H, W) => (N, D, side, side): a 1×1 convolution, then bilinear interpolation."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        self.layer = _convolution(inputs, outputs, 1)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(self.layer(x), size=(self.side, self.side), mode="bilinear", align_corners=False)


class Down(nn.Module):
    """(N, C, H, W) => (N, D, H/2, W/2), rounded up: the mean of 2×2 pixels, then a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = _convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(avg_pool2d(x, 2, ceil_mode=True))


class Generator(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, H, W), near [-1, 1] but not held there."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        widths, sides, patch = parameters.widths, _sides(parameters, image_shape[1]), parameters.patch
        self.latent_size = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        # A learned picture at the lowest resolution, each of whose channels the latent weighs.
        self.basis = nn.Parameter(torch.randn(widths[0], sides[0], sides[0]))
        self.weigh = Linear(parameters.latent_size, widths[0], bias=False)
        nn.init.normal_(self.weigh.weight, 0.0, parameters.latent_size**-0.5)
        layers: list[nn.Module] = []
        for level, blocks in enumerate(parameters.blocks):
            if level:
                layers.append(Up(widths[level - 1], widths[level], sides[level]))
            layers += [Block(widths[level], parameters) for _ in range(blocks)]
        self.layers = nn.Sequential(
            *layers, _convolution(widths[-1], image_shape[0] * patch**2, 3), nn.PixelShuffle(patch)
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.basis * self.weigh(z)[:, :, None, None])


class Discriminator(nn.Module):
    """images float32 (N, C, H, W) => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        widths, side, patch = parameters.widths, _sides(parameters, image_shape[1])[0], parameters.patch
        layers: list[nn.Module] = [nn.PixelUnshuffle(patch), _convolution(image_shape[0] * patch**2, widths[-1], 3)]
        for level in reversed(range(len(parameters.blocks))):
            layers += [Block(widths[level], parameters) for _ in range(parameters.blocks[level])]
            if level:
                layers.append(Down(widths[level], widths[level - 1]))
        # One number a channel from all its positions, then a weighted sum of those.
        gather = Conv2d(widths[0], widths[0], side, groups=widths[0], bias=False)
        nn.init.normal_(gather.weight, 0.0, 1 / side)
        self.layers = nn.Sequential(*layers, gather, nn.Flatten())
        self.head = Linear(widths[0], 1, bias=False)
        nn.init.normal_(self.head.weight, 0.0, widths[0] ** -0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(images)).flatten()


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for square images of `image_shape` (C, H, W).

    Raises UserError for images that are not square, not made of whole patches, or too small to be halved as often as
    `blocks` has entries.
    """
    _, height, width = given.image_shape
    if height % parameters.patch:
        raise UserError(
            f"architecture r3gan: the images are {height}×{width} and network.patch is {parameters.patch}; "
            f"expected a patch that divides {height}"
        )
    least = 2 ** len(parameters.blocks) * parameters.patch
    if height != width or height < least:
        raise UserError(
            f"architecture r3gan: the images are {height}×{width}; expected square ones, at least {least}×{least} for "
            f"{len(parameters.blocks)} resolutions in network.blocks and a patch of {parameters.patch}"
        )
    return {
        "generator": Generator(parameters, given.image_shape),
        "discriminator": Discriminator(parameters, given.image_shape),
    }


def _sides(parameters: Parameters, side: int) -> list[int]:
    """The side at each resolution for images of `side`, lowest first: each half the next, rounded up."""
    sides = [side // parameters.patch]
    for _ in parameters.blocks[1:]:
        sides.insert(0, -(-sides[0] // 2))
    return sides


def _convolution(
    inputs: int, outputs: int, size: int, scale: float = 1.0, groups: int = 1, bias: bool = False
) -> Conv2d:
    """A convolution that keeps the shape and, with `scale` 1, the variance; a bias begins at 0."""
    layer = Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=bias)
    with torch.no_grad():
        layer.weight.normal_(0.0, 1.0).mul_(scale / math.sqrt(inputs // groups * size**2))
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
