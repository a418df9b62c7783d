"""The convolutional GAN for 128×128 images: three convolutions of 8×8, stride 2, on either side.

Source: Rashid 2020, "Make Your First GAN With PyTorch", part 2, "Convolutional GAN": there `width` is 256.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.initialisation import normal_weights
from reprogan.models.layers import Linear

_SIZE = 128
_START = 11  # side that the generator begins with: 11 => 28 => 62 => 128
_END = 10  # side that the discriminator ends with: 128 => 61 => 27 => 10


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `dcgan128`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    width: int = Field(ge=1, description="channels between the convolutions")
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, 128, 128) in [-1, 1]."""

    preview_count = 16

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__()
        w = parameters.width
        self.latent_size = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        self.layers = nn.Sequential(
            Linear(parameters.latent_size, channels * _START**2),
            nn.GELU(),
            nn.Unflatten(1, (channels, _START, _START)),
            ConvTranspose2d(channels, w, 8, 2),
            BatchNorm2d(w),
            nn.GELU(),
            ConvTranspose2d(w, w, 8, 2),
            BatchNorm2d(w),
            nn.GELU(),
            ConvTranspose2d(w, channels, 8, 2, padding=1),
            BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z) * 2 - 1


class Discriminator(nn.Module):
    """images float32 (N, C, 128, 128) in [-1, 1] => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__()
        w = parameters.width
        self.layers = nn.Sequential(
            Conv2d(channels, w, 8, 2),
            BatchNorm2d(w),
            nn.GELU(),
            Conv2d(w, w, 8, 2),
            BatchNorm2d(w),
            nn.GELU(),
            Conv2d(w, channels, 8, 2),
            nn.GELU(),
            nn.Flatten(),
            Linear(channels * _END**2, 1),
            nn.Flatten(0),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, 128, 128).

    Raises UserError for another size.
    """
    channels, height, width = given.image_shape
    if (height, width) != (_SIZE, _SIZE):
        raise UserError(f"architecture dcgan128: the images are {height}×{width}; expected {_SIZE}×{_SIZE}")
    networks: dict[str, nn.Module] = {
        "generator": Generator(parameters, channels),
        "discriminator": Discriminator(parameters, channels),
    }
    return normal_weights(networks, parameters.init_std)
