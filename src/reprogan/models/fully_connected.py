"""The fully connected GAN: one hidden layer in each network.

Source: Raschka, Liu and Mirjalili 2022, "Machine Learning with PyTorch and Scikit-Learn", chapter 17.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.models.architecture import Given
from reprogan.models.initialisation import normal_weights
from reprogan.models.layers import Dropout, Linear, Tanh


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `fully_connected`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    hidden: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, H, W) in [-1, 1]."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.latent_size = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        self.layers = nn.Sequential(
            Linear(parameters.latent_size, parameters.hidden),
            nn.LeakyReLU(0.01),
            Linear(parameters.hidden, channels * height * width),
            Tanh(),
            nn.Unflatten(1, image_shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.layers = nn.Sequential(
            nn.Flatten(),
            Linear(channels * height * width, parameters.hidden),
            nn.LeakyReLU(0.01),
            Dropout(parameters.dropout),
            Linear(parameters.hidden, 1),
            nn.Flatten(0),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, H, W)."""
    networks: dict[str, nn.Module] = {
        "generator": Generator(parameters, given.image_shape),
        "discriminator": Discriminator(parameters, given.image_shape),
    }
    return normal_weights(networks, parameters.init_std)
