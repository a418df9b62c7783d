"""Autoencoders: an encoder from images to a few numbers, a decoder back; variational, the numbers are distributions.

Sources: Hinton and Salakhutdinov 2006 (autoencoders), Kingma and Welling 2014 (variational ones).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import Conv2d, ConvTranspose2d
from reprogan.models.layers import Linear


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `autoencoder`."""

    layers: Literal["fully_connected", "convolutional"]
    latent_size: int = Field(ge=1)
    width: int = Field(ge=2, description="hidden units, or channels next to the image")
    variational: bool


class Encoder(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => codes float32 (N, latent_size); variational ones (N, 2 · latent_size).

    Those are the mean of a normal distribution and the logarithm of its variance, one beside the other.
    """

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        w, codes = parameters.width, parameters.latent_size * (2 if parameters.variational else 1)
        if parameters.layers == "fully_connected":
            self.layers = nn.Sequential(
                nn.Flatten(),
                Linear(channels * height * width, w),
                nn.ReLU(),
                Linear(w, w // 2),
                nn.ReLU(),
                Linear(w // 2, codes),
            )
        else:
            self.layers = nn.Sequential(
                Conv2d(channels, w, 4, 2, 1),
                nn.ReLU(),
                Conv2d(w, 2 * w, 4, 2, 1),
                nn.ReLU(),
                nn.Flatten(),
                Linear(2 * w * (height // 4) * (width // 4), codes),
            )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Decoder(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, H, W) in [-1, 1]."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        w, z = parameters.width, parameters.latent_size
        self.latent_size = z
        if parameters.variational:  # else nothing says where to draw codes from
            self.latent_distribution = "normal"
        if parameters.layers == "fully_connected":
            self.layers = nn.Sequential(
                Linear(z, w // 2), nn.ReLU(), Linear(w // 2, w), nn.ReLU(), Linear(w, channels * height * width),
                nn.Unflatten(1, image_shape),
            )  # fmt: skip
        else:
            self.layers = nn.Sequential(
                Linear(z, 2 * w * (height // 4) * (width // 4)),
                nn.ReLU(),
                nn.Unflatten(1, (2 * w, height // 4, width // 4)),
                ConvTranspose2d(2 * w, w, 4, 2, 1),
                nn.ReLU(),
                ConvTranspose2d(w, channels, 4, 2, 1),
            )

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.logits(z) / 2)  # 2 sigmoid(logits) - 1

    def logits(self, z: Tensor) -> Tensor:
        """The logits of each pixel's brightness, float32 (N, C, H, W)."""
        return self.layers(z)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, H, W).

    Raises UserError for images that convolutions cannot halve twice.
    """
    _, height, width = given.image_shape
    if parameters.layers == "convolutional" and (height % 4 or width % 4):
        raise UserError(
            f"architecture autoencoder: the images are {height}×{width}; expected sides that 4 divides; "
            "set network.layers to fully_connected"
        )
    return {"encoder": Encoder(parameters, given.image_shape), "decoder": Decoder(parameters, given.image_shape)}
