"""From a caption to an image in two stages: at 64×64, then at the data's size, which reads image and caption again.

Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial
Networks", sections 3.2 to 3.4. Here without batch normalisation in the discriminators.
"""

import math
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d, beside_each_other
from reprogan.models.layers import Linear, Tanh, shrunk

FIRST_SIDE = 64
_SLOPE = 0.2
_MIDDLE = 16  # side at which the second stage joins image and caption
_QUARTER = torch.tensor(0.25)  # a number in an operation would be made a tensor each time


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `stackgan`."""

    stage: Literal[1, 2]
    latent_size: int = Field(ge=1, description="numbers drawn beside the caption; the second stage takes the first's")
    condition_size: int = Field(ge=1, description="numbers that the caption is pressed into")
    filters: int = Field(ge=1, description="channels next to the image; up to eight times as many inside")
    residual_blocks: int = Field(ge=0, description="of the second stage, where image and caption have been joined")


class ConditioningAugmentation(nn.Module):
    """A caption's features (N, D) => mean and log variance (N, size) of what an image is made from (section 3.2)."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Linear(features, 2 * size), nn.LeakyReLU(_SLOPE), Linear(2 * size, 2 * size))

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(text).chunk(2, dim=1)
        return mean, log_variance


class _Generator(nn.Module):
    """What both stages share: latents, the reading of captions, and the spread of conditions round a caption."""

    latent_distribution = "normal"
    reads = "captions"
    preview_count = 16

    def __init__(self, parameters: Parameters, text_features: int, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.condition_size = parameters.condition_size
        self.augmentation = ConditioningAugmentation(text_features, parameters.condition_size)

    def features_of(self, text: Tensor) -> Tensor:
        """Tokens int64 (N, T) => the caption's features (N, D); features, float (N, D), as they are."""
        raise NotImplementedError

    def draw(self, z: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N, C, side, side) of latents (N, latent_size) and captions; the conditions' mean and log variance."""
        raise NotImplementedError

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        return self.draw(z, text)[0]


class FirstGenerator(_Generator):
    """z float32 (N, latent_size), text => images float32 (N, C, 64, 64) in [-1, 1]."""

    def __init__(self, parameters: Parameters, channels: int, text_encoder: nn.Module) -> None:
        text_features = cast(int, text_encoder.features)
        super().__init__(parameters, text_features, parameters.latent_size + parameters.condition_size)
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        f = parameters.filters
        inputs = parameters.latent_size + parameters.condition_size
        self.layers = nn.Sequential(
            nn.Unflatten(1, (inputs, 1, 1)),
            ConvTranspose2d(inputs, 8 * f, 4, bias=False),
            BatchNorm2d(8 * f),
            nn.ReLU(),
            *_up(8 * f, 4 * f),
            *_up(4 * f, 2 * f),
            *_up(2 * f, f),
            nn.Upsample(scale_factor=2.0),
            Conv2d(f, channels, 3, 1, 1),
            Tanh(),
        )

    def features_of(self, text: Tensor) -> Tensor:
        if text.is_floating_point():
            return text
        found = self.text_encoder(text)
        return normalize(found) * math.sqrt(found.shape[1])  # of length √D, as normal numbers have it

    def draw(self, z: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.augmentation(self.features_of(text))
        noise, spread = z[:, self.condition_size :], z[:, : self.condition_size]
        condition = mean + (log_variance / 2).exp() * spread
        return self.layers(torch.cat((condition, noise), 1)), mean, log_variance


class ResidualBlock(nn.Module):
    """x + f(x): two convolutions with batch normalisation, float32 (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv2d(channels, channels, 3, 1, 1, bias=False),
            BatchNorm2d(channels),
            nn.ReLU(),
            Conv2d(channels, channels, 3, 1, 1, bias=False),
            BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


class Smoothing(nn.Module):
    """Each pixel the mean of the square of four whose last it is: no chequered pattern comes through.

    Four pixels drawn at a time by weights of their own have one (Odena, Dumoulin and Olah 2016, "Deconvolution and
    Checkerboard Artifacts").
    """

    def forward(self, x: Tensor) -> Tensor:
        return _Smooth.apply(x)


class _Smooth(torch.autograd.Function):
    """The mean of each pixel and the one before it, down and across: a tenth of the time that pooling takes."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        for axis in (2, 3):
            size = x.shape[axis]
            before, first = x.narrow(axis, 0, size - 1), x.narrow(axis, 0, 1)
            x = x.clone()
            x.narrow(axis, 1, size - 1).add_(before)
            x.narrow(axis, 0, 1).add_(first)
        return x.mul_(_QUARTER)

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return _Unsmooth.apply(g)


class _Unsmooth(torch.autograd.Function):
    """The transpose of `_Smooth`."""

    @staticmethod
    def forward(ctx: object, g: Tensor) -> Tensor:
        for axis in (2, 3):
            size = g.shape[axis]
            after, first = g.narrow(axis, 1, size - 1), g.narrow(axis, 0, 1)
            g = g.clone()
            g.narrow(axis, 0, size - 1).add_(after)
            g.narrow(axis, 0, 1).add_(first)
        return g.mul_(_QUARTER)

    @staticmethod
    def backward(ctx: object, x: Tensor) -> Tensor:
        return _Smooth.apply(x)


class Quadrupling(nn.Module):
    """(N, 4 C, H, W) => (N, C, 2H, 2W): of each position's channels four pixels (Shi et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return beside_each_other(x, 2, 2)


class SecondGenerator(_Generator):
    """z float32 (N, latent_size), text => images float32 (N, C, side, side) in [-1, 1], on an image of the first stage.

    The first stage is frozen. What is learned is the difference to its image, enlarged: the paper learns all of it.
    """

    def __init__(self, parameters: Parameters, channels: int, side: int, first: FirstGenerator) -> None:
        text_features = cast(int, first.text_encoder.features)
        super().__init__(parameters, text_features, first.latent_size + parameters.condition_size)
        self.first = first.eval().requires_grad_(False)
        self._by = side // FIRST_SIDE
        f = parameters.filters
        self.reading = nn.Sequential(
            Conv2d(channels, f, 3, 1, 1),
            nn.ReLU(),
            *(_down(f, 2 * f)),
            *(_down(2 * f, 4 * f)),
        )
        self.joining = nn.Sequential(
            Conv2d(4 * f + parameters.condition_size, 4 * f, 3, 1, 1, bias=False),
            BatchNorm2d(4 * f),
            nn.ReLU(),
            *(ResidualBlock(4 * f) for _ in range(parameters.residual_blocks)),
        )
        layers: list[nn.Module] = []
        inputs, at = 4 * f, _MIDDLE
        while 2 * at < side:
            outputs = max(f, inputs // 2)
            layers += _up(inputs, outputs)
            inputs, at = outputs, 2 * at
        # The last doubling draws four pixels at a time, for half the time of the whole (Shi et al. 2016).
        last = Conv2d(inputs, 4 * channels, 3, 1, 1)
        for weight in last.parameters():
            nn.init.zeros_(weight)
        # Begins with the first stage's image, a little paler: its tanh is taken again.
        self.drawing = nn.Sequential(*layers, last, Quadrupling(), Smoothing())
        self.tanh = Tanh()

    def train(self, mode: bool = True) -> "SecondGenerator":
        """As any module, but for the first stage: it is done."""
        super().train(mode)
        self.first.eval()
        return self

    def features_of(self, text: Tensor) -> Tensor:
        return self.first.features_of(text)

    def draw(self, z: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        text = self.features_of(text)
        with torch.no_grad():
            small = self.first(z[:, self.condition_size :], text)
        mean, log_variance = self.augmentation(text)
        condition = mean + (log_variance / 2).exp() * z[:, : self.condition_size]
        joined = torch.cat((self.reading(small), _everywhere(condition, _MIDDLE)), 1)
        # A channel after the other it is enlarged in a third of the time.
        large = interpolate(small.contiguous(), scale_factor=float(self._by), mode="bilinear", align_corners=False)
        large = large.contiguous(memory_format=torch.channels_last)
        return self.tanh(large + self.drawing(self.joining(joined))), mean, log_variance


class Discriminator(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] and captions' features (N, D) => logits float32 (N,).

    Larger images than its side are reduced to it by means over squares. Beside the paper's way of joining an image with
    its caption stands a product of both (Miyato and Koyama 2018, "cGANs with Projection Discriminator", Equation 3),
    without which captions are heeded far later.
    """

    def __init__(self, parameters: Parameters, channels: int, side: int, text_features: int) -> None:
        super().__init__()
        self.side = side
        f = parameters.filters
        layers: list[nn.Module] = []
        inputs = channels
        while side > 4:
            outputs = min(8 * f, 2 * inputs if layers else f)
            layers += [Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
            inputs, side = outputs, side // 2
        self.layers = nn.Sequential(*layers)
        self.text = nn.Sequential(Linear(text_features, parameters.condition_size), nn.LeakyReLU(_SLOPE))
        self.head = nn.Sequential(
            Conv2d(inputs + parameters.condition_size, inputs, 1),
            nn.LeakyReLU(_SLOPE),
            Conv2d(inputs, 1, 4),
            nn.Flatten(0),
        )
        self.projection = Linear(text_features, inputs)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.match(self.see(images), text)

    def see(self, images: Tensor) -> Tensor:
        """Images => what is seen of them whatever the caption, (N, channels, 4, 4)."""
        return self.layers(shrunk(images, max(1, images.shape[2] // self.side)))

    def match(self, seen: Tensor, text: Tensor) -> Tensor:
        """What is seen, and captions' features (N, D) => logits (N,)."""
        logits = self.head(torch.cat((seen, _everywhere(self.text(text), seen.shape[2])), 1))
        return logits + (self.projection(text) * seen.mean((2, 3))).sum(1)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The stage's networks for images of `image_shape` (C, side, side), on those of the variant's upstream model.

    The first stage builds on a `text_encoder`, the second on the first's `generator`; the `image_encoder` that goes
    with the captions' is handed on. Raises UserError for another upstream model, and for a side that is not 64 times a
    power of two.
    """
    channels, height, width = given.image_shape
    least = FIRST_SIDE * parameters.stage
    if height != width or height < least or height & (height - 1):
        raise UserError(
            f"architecture stackgan: the images are {height}×{width}; stage {parameters.stage} expects {least}×{least} "
            "or sides twice or four times that"
        )
    first: nn.Module | None
    generator: _Generator
    if parameters.stage == 1:
        text_encoder = given.upstream.get("text_encoder")
        if text_encoder is None:
            raise UserError("network.stage is 1; expected an upstream model with a text_encoder, as caption_features")
        generator, side = FirstGenerator(parameters, channels, text_encoder), FIRST_SIDE
    else:
        first = given.upstream.get("generator")
        if not isinstance(first, FirstGenerator):
            raise UserError("network.stage is 2; expected an upstream model whose network.stage is 1")
        text_encoder = first.text_encoder
        generator, side = SecondGenerator(parameters, channels, height, first), height
    discriminator = Discriminator(parameters, channels, side, cast(int, text_encoder.features))
    handed_on = given.upstream["image_encoder"].eval().requires_grad_(False)
    return {"generator": generator, "discriminator": discriminator, "image_encoder": handed_on}


def _down(inputs: int, outputs: int) -> list[nn.Module]:
    return [Conv2d(inputs, outputs, 4, 2, 1, bias=False), BatchNorm2d(outputs), nn.ReLU()]


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    """Twice the side: each pixel four times, then a convolution (section 3.4)."""
    return [
        nn.Upsample(scale_factor=2.0),
        Conv2d(inputs, outputs, 3, 1, 1, bias=False),
        BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def _everywhere(vectors: Tensor, side: int) -> Tensor:
    """(N, D) => (N, D, side, side), the same at each place."""
    return vectors[:, :, None, None].expand(-1, -1, side, side)
