"""Image to image: the U-Net generator, whose noise is dropout, and the PatchGAN discriminator of pix2pix.

Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", sections 3.2 and 6.1.
The paper's batch normalisation, with its batches of one, is instance normalisation.
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import Conv2d, ConvTranspose2d
from reprogan.models.initialisation import normal_weights
from reprogan.models.layers import Tanh, norm_layer, spectral_norm

_SLOPE = 0.2
_BIASED = ("spectral", "none")  # norms after which there is no layer that would take a bias away
_WIDEST = 8  # times `width`
_MOST_STRIDED = 5  # convolutions of the discriminator: a patch of 286
_LEAST_LEFT = 3  # pixels a side that its last two convolutions need
_NOISY = 3  # of the decoder's layers, deepest first

Patch = Literal[1, 16, 34, 70, 142, 286, "image"]


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `unet`."""

    width: int = Field(ge=1, description="channels of the generator's first layer; up to eight times as many inside")
    levels: int = Field(ge=1, description="how often the generator halves the sides, and doubles them again")
    dropout: float = Field(ge=0, lt=1, description="share of numbers that noise sets to zero, in the deepest layers")
    norm: Literal["batch", "instance", "none"] = Field(description="after the generator's convolutions")
    patch: Patch | None = Field(
        description="pixels a side that a logit judges; image: all of them; null: no discriminator"
    )
    patch_width: int = Field(ge=1, description="channels of the discriminator's first layer")
    patch_norm: Literal["instance", "layer", "spectral", "none"] = Field(description="of the discriminator")
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z (N, latent_size), source (N, C', H, W) in [-1, 1] => image float32 (N, C, H, W) in [-1, 1].

    z, from U(-1, 1), says which numbers dropout keeps: so an image is a function of (z, source) alone.
    """

    latent_distribution = "uniform"
    reads = "sources"
    preview_count = 16

    def __init__(self, parameters: Parameters, source_channels: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.dropout = parameters.dropout
        widths = [parameters.width * min(2**level, _WIDEST) for level in range(parameters.levels)]
        self.down = nn.ModuleList()
        for level, outputs in enumerate(widths):
            inputs = widths[level - 1] if level else source_channels
            # Of a single pixel, instance normalisation would make 0.
            normed = level > 0 and parameters.norm != "none" and min(height, width) >> (level + 1) > 1
            self.down.append(
                nn.Sequential(
                    *([nn.LeakyReLU(_SLOPE)] if level else []),
                    Conv2d(inputs, outputs, 4, 2, 1, bias=not normed),
                    *([norm_layer(parameters.norm, outputs)] if normed else []),
                )
            )
        self.up = nn.ModuleList()
        self._noise: list[tuple[int, int, int]] = []  # shapes of what dropout meets
        inputs = widths[-1]
        for level in reversed(range(1, parameters.levels)):
            outputs = widths[level - 1]
            self.up.append(
                nn.Sequential(
                    nn.ReLU(),
                    ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=parameters.norm == "none"),
                    norm_layer(parameters.norm, outputs),
                )
            )
            if len(self._noise) < _NOISY:
                self._noise.append((outputs, height >> level, width >> level))
            inputs = 2 * outputs  # with what comes across from the encoder
        self.last = nn.Sequential(nn.ReLU(), ConvTranspose2d(inputs, channels, 4, 2, 1), Tanh())
        self.latent_size = sum(map(math.prod, self._noise)) or 1

    def forward(self, z: Tensor, source: Tensor) -> Tensor:
        across = []
        x = source
        for down in self.down:
            x = down(x)
            across.append(x)
        noise = iter(z.split([math.prod(shape) for shape in self._noise], 1)) if self._noise else iter(())
        shapes = iter(self._noise)
        for up, beside in zip(self.up, reversed(across[:-1]), strict=True):
            x = up(x)
            if (shape := next(shapes, None)) is not None:
                # As numbers 0 and 1: with truth values the mask takes five times as long on a CPU.
                kept = next(noise).view(-1, *shape).clone().ge_(2 * self.dropout - 1)
                x = x * kept.mul_(1 / (1 - self.dropout)).to(x.dtype)
            x = torch.cat((x, beside), 1)
        return self.last(x)


class Discriminator(nn.Module):
    """source (N, C', H, W), image (N, C, H, W), in [-1, 1] => logits float32 (N, 1, h, w), one a patch."""

    def __init__(self, parameters: Parameters, patch: int, channels: int) -> None:
        super().__init__()
        strided, width, norm = _strided(patch), parameters.patch_width, parameters.patch_norm
        kernel, padding = (1, 0) if patch == 1 else (4, 1)
        layers: list[nn.Module] = []
        inputs = channels
        for level in range(strided + 1 if patch > 1 else 2):
            outputs = min(2**level, _WIDEST) * width
            stride = 2 if level < strided else 1
            convolution = Conv2d(inputs, outputs, kernel, stride, padding, bias=not level or norm in _BIASED)
            layers.append(spectral_norm(convolution) if norm == "spectral" else convolution)
            layers += [norm_layer(norm, outputs)] if level and norm not in _BIASED else []
            layers.append(nn.LeakyReLU(_SLOPE))
            inputs = outputs
        self.layers = nn.Sequential(*layers, Conv2d(inputs, 1, kernel, 1, padding))

    def forward(self, source: Tensor, image: Tensor) -> Tensor:
        return self.layers(torch.cat((source, image), 1))


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, H, W) and sources of `source_channels`.

    At patch null there is no discriminator. Raises UserError for data without sources, and for sides that cannot be
    halved as often as `levels` says.
    """
    channels, height, width = given.image_shape
    if not given.source_channels:
        raise UserError("architecture unet: the data has no sources; expected data: a name under pairs")
    if height % 2**parameters.levels or width % 2**parameters.levels:
        raise UserError(
            f"architecture unet: the images are {height}×{width}; expected sides that {2**parameters.levels} divides "
            f"for network.levels {parameters.levels}"
        )
    networks: dict[str, nn.Module] = {"generator": Generator(parameters, given.source_channels, given.image_shape)}
    if parameters.patch is not None:
        patch = _pixels(parameters.patch, height, width)
        networks["discriminator"] = Discriminator(parameters, patch, given.source_channels + channels)
    return normal_weights(networks, parameters.init_std)


def _pixels(patch: int | str, height: int, width: int) -> int:
    """Pixels a side. Raises UserError for a patch that leaves nothing of the image, and an image that none covers."""
    if isinstance(patch, str):
        patch, widest = _whole(max(height, width)), field_of(_MOST_STRIDED)
        if patch < max(height, width):
            raise UserError(
                f"network.patch is image; the images are {height}×{width}; at most {widest} a side, or a number"
            )
    if min(height, width) >> _strided(patch) < _LEAST_LEFT:
        raise UserError(
            f"network.patch is {patch}; the images are {height}×{width}; expected a smaller one: "
            f"{_strided(patch)} halvings leave nothing of them"
        )
    return patch


def field_of(strided: int) -> int:
    """Pixels a side that a logit sees after so many 4×4 convolutions of stride 2 and two of stride 1."""
    seen = 1
    for stride in (1, 1, *[2] * strided):  # from the logit back to the image
        seen = (seen - 1) * stride + 4
    return seen


def _strided(patch: int) -> int:
    """Convolutions of stride 2 that a discriminator of that patch has."""
    return (
        next((count for count in range(_MOST_STRIDED + 1) if field_of(count) >= patch), _MOST_STRIDED)
        if patch > 1
        else 0
    )


def _whole(side: int) -> int:
    """The smallest patch that covers an image of that side."""
    return next(
        (field for count in range(_MOST_STRIDED) if (field := field_of(count)) >= side), field_of(_MOST_STRIDED)
    )
