"""The convolutional GAN for 28×28 images: transposed convolutions against strided ones, with BatchNorm.

Sources: Radford et al. 2016 (DCGAN); layer sizes after Raschka, Liu and Mirjalili 2022, chapter 17.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from reprogan.config import Strict
from reprogan.errors import UserError
from reprogan.models.initialisation import normal_weights

_SIZE = 28


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `dcgan`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    filters: int = Field(ge=1, description="channels next to the image; four times as many at 4×4")
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, 28, 28) in [-1, 1]."""

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__()
        z, f = parameters.latent_size, parameters.filters
        self.latent_size = z
        self.latent_distribution = parameters.latent_distribution
        self.layers = nn.Sequential(
            nn.Unflatten(1, (z, 1, 1)),
            nn.ConvTranspose2d(z, 4 * f, 4, 1, 0, bias=False),  # => (4f, 4, 4)
            nn.BatchNorm2d(4 * f),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(4 * f, 2 * f, 3, 2, 1, bias=False),  # => (2f, 7, 7)
            nn.BatchNorm2d(2 * f),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False),  # => (f, 14, 14)
            nn.BatchNorm2d(f),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(f, channels, 4, 2, 1),  # => (C, 28, 28)
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    """images float32 (N, C, 28, 28) in [-1, 1] => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, channels: int) -> None:
        super().__init__()
        f = parameters.filters
        self.layers = nn.Sequential(
            nn.Conv2d(channels, f, 4, 2, 1),  # => (f, 14, 14)
            nn.LeakyReLU(0.2),
            nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False),  # => (2f, 7, 7)
            nn.BatchNorm2d(2 * f),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * f, 4 * f, 3, 2, 1, bias=False),  # => (4f, 4, 4)
            nn.BatchNorm2d(4 * f),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * f, 1, 4, 1, 0),  # => (1, 1, 1)
            nn.Flatten(0),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build(parameters: Parameters, image_shape: tuple[int, int, int], classes: int) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, 28, 28); `classes` plays no part here.

    Raises UserError for another size.
    """
    channels, height, width = image_shape
    if (height, width) != (_SIZE, _SIZE):
        raise UserError(
            f"architecture dcgan: the images are {height}×{width}; expected {_SIZE}×{_SIZE}; "
            "use fully_connected, or prepare images of that size"
        )
    networks = {"generator": Generator(parameters, channels), "discriminator": Discriminator(parameters, channels)}
    if parameters.init_std is not None:
        for network in networks.values():
            normal_weights(network, parameters.init_std)
    return networks
