"""The networks that face scores are read with: strided convolutions to ReLU features, and what those are learned for.

The features are this project's own space for Fréchet distances; they compare with no other project's numbers.
"""

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.layers import Linear

Width = Annotated[int, Field(ge=1)]


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `face_features`."""

    widths: tuple[Width, ...] = Field(strict=False, min_length=1, description="channels after each halving of the side")
    features: int = Field(ge=2, description="dimensions of the space that scores are computed in")


class Encoder(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => features float32 (N, D), 0 or more."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        inputs = image_shape[0]
        layers: list[nn.Module] = []
        for level, outputs in enumerate(parameters.widths):
            size = 3 if level else 5
            layers += [
                Conv2d(inputs, outputs, size, 2, size // 2, bias=False),
                BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        height, width = _last_sides(parameters, image_shape)
        self.features = nn.Sequential(
            *layers,
            nn.Flatten(),
            Linear(inputs * height * width, parameters.features, bias=False),
            nn.BatchNorm1d(parameters.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)


class Classifier(Encoder):
    """images float32 (N, C, H, W) in [-1, 1] => logits float32 (N, answers)."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int], answers: int) -> None:
        super().__init__(parameters, image_shape)
        self.head = Linear(parameters.features, answers)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Decoder(nn.Module):
    """features float32 (N, D) => images float32 (N, C, H, W) in [-1, 1]."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, self.height, self.width = image_shape
        height, width = _last_sides(parameters, image_shape)
        widths = (*reversed(parameters.widths), channels)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.ReLU(), ConvTranspose2d(inputs, outputs, 4, 2, 1)]
        self.layers = nn.Sequential(
            Linear(parameters.features, widths[0] * height * width),
            nn.Unflatten(1, (widths[0], height, width)),
            *layers,
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(self.layers(features))[:, :, : self.height, : self.width]


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """For images of `image_shape` (C, H, W): a classifier of `classes` logits; for none, an encoder and a decoder.

    Raises UserError for images that cannot be halved as often as `widths` has entries.
    """
    least = 2 ** len(parameters.widths)
    _, height, width = given.image_shape
    if min(height, width) < least:
        raise UserError(
            f"architecture face_features: the images are {height}×{width}; expected at least "
            f"{least}×{least} for {len(parameters.widths)} widths"
        )
    if given.classes:
        return {"classifier": Classifier(parameters, given.image_shape, given.classes)}
    return {"encoder": Encoder(parameters, given.image_shape), "decoder": Decoder(parameters, given.image_shape)}


def _last_sides(parameters: Parameters, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width after each layer has halved them, rounded up."""
    by = 2 ** len(parameters.widths)
    return -(-image_shape[1] // by), -(-image_shape[2] // by)
