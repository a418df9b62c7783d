"""Networks that grow from 4×4 pixels to the images' size, a doubling at a time, each faded in.

Source: Karras, Aila, Laine and Lehtinen 2018, "Progressive Growing of GANs" (ProGAN): section 2 (growing), 3 (minibatch
standard deviation), 4.1 (equalised learning rate), 4.2 (pixelwise normalisation); Table 2 for the layers.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import Conv2d

_SLOPE = 0.2
_FIRST = 4  # side of the lowest resolution
_GAIN = math.sqrt(2)  # of a layer with LeakyReLU after it (He et al. 2015)
_GROUP = 4  # images that the minibatch deviation is taken over
_EPSILON = 1e-8
Width = Annotated[int, Field(ge=1)]


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `progan`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    widths: tuple[Width, ...] = Field(strict=False, min_length=2, description="channels at 4×4, 8×8, and so on")


class EqualisedConv2d(Conv2d):
    """A convolution whose weights begin as N(0, 1) and are scaled as they are used, by gain / √fan-in.

    So a step of Adam moves the weights of every layer as far, compared with their range.
    """

    def __init__(self, inputs: int, outputs: int, size: int, gain: float = _GAIN) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        self.scale = gain / math.sqrt(inputs * size**2)
        with torch.no_grad():
            self.weight.normal_(0.0, 1.0)
            self.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.scale, self.bias)


class EqualisedLinear(nn.Linear):
    """The same for a matrix: float32 (N, inputs) => (N, outputs)."""

    def __init__(self, inputs: int, outputs: int, gain: float = _GAIN) -> None:
        super().__init__(inputs, outputs)
        self.scale = gain / math.sqrt(inputs)
        with torch.no_grad():
            self.weight.normal_(0.0, 1.0)
            self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.scale, self.bias)


class PixelNorm(nn.Module):
    """Each position's channels divided by their root mean square: (N, C, ...) => the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + _EPSILON).rsqrt()


class MinibatchDeviation(nn.Module):
    """One more channel, (N, C, H, W) => (N, C + 1, H, W): how much the images of a group differ.

    The standard deviation over the four images of a group (all of the batch, where that is no multiple of four) of each
    channel at each position, averaged over both: one number a group.
    """

    looks_at_the_batch = True

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        size = _GROUP if count % _GROUP == 0 else count
        groups = x.view(count // size, size, channels, height, width)
        variance = groups.var(1, correction=0) + _EPSILON
        # Its square root. Not torch.sqrt: its bits differ between CPU types (MKL's vector library), rsqrt's do not.
        deviation = (variance * variance.rsqrt()).mean((1, 2, 3))
        return torch.cat((x, deviation.repeat_interleave(size).view(count, 1, 1, 1).expand(-1, -1, height, width)), 1)


class _Growing(nn.Module):
    """Networks for every resolution at once, of which `level` (0 is 4×4) says which one is in use."""

    alpha: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.last_level = levels - 1
        self.level = self.last_level
        self.fades = False
        self.register_buffer("alpha", torch.ones(()), persistent=False)

    def grow(self, level: int, alpha: float) -> None:
        """Use the resolution `level`; below 1, `alpha` is its share and the rest that of the one before."""
        self.level, self.fades = level, alpha < 1
        self.alpha.fill_(alpha)

    @property
    def side(self) -> int:
        """Height and width at the level in use."""
        return _FIRST * 2**self.level

    def _blend(self, before: Tensor, now: Tensor) -> Tensor:
        if not self.fades:
            return now
        # CUDA's autocast enlarges in float32 and convolves in bfloat16; lerp wants one type.
        return torch.lerp(before.to(now.dtype), now, self.alpha.to(now.dtype))


class Generator(_Growing):
    """z float32 (N, latent_size) => images float32 (N, C, side, side), near [-1, 1] but not held there."""

    preview_count = 16

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__(len(parameters.widths))
        self.latent_size = z = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        widths = parameters.widths
        first = nn.Sequential(
            PixelNorm(),
            EqualisedLinear(z, widths[0] * _FIRST**2, _GAIN / _FIRST),  # as a convolution of 4×4 is scaled
            nn.Unflatten(1, (widths[0], _FIRST, _FIRST)),
            nn.LeakyReLU(_SLOPE),
            PixelNorm(),
            *_convolve(widths[0], widths[0]),
        )
        later = (
            nn.Sequential(
                nn.Upsample(scale_factor=2), *_convolve(widths[k - 1], widths[k]), *_convolve(widths[k], widths[k])
            )
            for k in range(1, len(widths))
        )
        self.blocks = nn.ModuleList([first, *later])
        self.to_image = nn.ModuleList(EqualisedConv2d(width, channels, 1, 1.0) for width in widths)

    def forward(self, z: Tensor) -> Tensor:
        x = before = z
        for block in self.blocks[: self.level + 1]:
            before, x = x, block(x)
        images = self.to_image[self.level](x)
        if not self.fades:
            return images
        return self._blend(twice(self.to_image[self.level - 1](before)), images)

    def weights(self, level: int) -> list[nn.Parameter]:
        """What is in use at a level and while it fades in."""
        modules = [*self.blocks[: level + 1], *self.to_image[max(level - 1, 0) : level + 1]]
        return [weight for module in modules for weight in module.parameters()]


class Discriminator(_Growing):
    """images float32 (N, C, side, side) => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__(len(parameters.widths))
        widths = parameters.widths
        first = nn.Sequential(
            MinibatchDeviation(),
            EqualisedConv2d(widths[0] + 1, widths[0], 3),
            nn.LeakyReLU(_SLOPE),
            nn.Flatten(),
            EqualisedLinear(widths[0] * _FIRST**2, widths[0]),
            nn.LeakyReLU(_SLOPE),
            EqualisedLinear(widths[0], 1, 1.0),
            nn.Flatten(0),
        )
        later = (
            nn.Sequential(
                EqualisedConv2d(widths[k], widths[k], 3),
                nn.LeakyReLU(_SLOPE),
                EqualisedConv2d(widths[k], widths[k - 1], 3),
                nn.LeakyReLU(_SLOPE),
                nn.AvgPool2d(2),
            )
            for k in range(1, len(widths))
        )
        self.blocks = nn.ModuleList([first, *later])
        self.from_image = nn.ModuleList(
            nn.Sequential(EqualisedConv2d(channels, width, 1), nn.LeakyReLU(_SLOPE)) for width in widths
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.from_image[self.level](images)
        for level in range(self.level, -1, -1):
            x = self.blocks[level](x)
            if level == self.level and self.fades:
                x = self._blend(self.from_image[level - 1](avg_pool2d(images, 2)), x)
        return x

    def weights(self, level: int) -> list[nn.Parameter]:
        """What is in use at a level and while it fades in."""
        modules = [*self.blocks[: level + 1], *self.from_image[max(level - 1, 0) : level + 1]]
        return [weight for module in modules for weight in module.parameters()]


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, H, W).

    Raises UserError for a size that the entries of `widths` do not lead to.
    """
    channels, height, width = given.image_shape
    side = _FIRST * 2 ** (len(parameters.widths) - 1)
    if (height, width) != (side, side):
        raise UserError(
            f"architecture progan: the images are {height}×{width}; network.widths has {len(parameters.widths)} "
            f"entries, which lead to {side}×{side}; expected one for each doubling from {_FIRST}×{_FIRST} on"
        )
    return {"generator": Generator(parameters, channels), "discriminator": Discriminator(parameters, channels)}


def twice(images: Tensor) -> Tensor:
    """(N, C, H, W) => (N, C, 2H, 2W), each pixel four times."""
    return interpolate(images, scale_factor=2.0, mode="nearest")


def _convolve(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return EqualisedConv2d(inputs, outputs, 3), nn.LeakyReLU(_SLOPE), PixelNorm()
