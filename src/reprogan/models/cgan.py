"""The conditional GAN of fully connected networks: labels join the latent and the image as one-hot vectors.

Sources: Mirza and Osindero 2014; layer sizes after Rashid 2020, "Make Your First GAN With PyTorch", part 3.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.models.architecture import Given
from reprogan.models.initialisation import normal_weights
from reprogan.models.latents import one_hot
from reprogan.models.layers import Linear, Tanh


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `cgan`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    hidden: int = Field(ge=1)
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z float32 (N, latent_size) and labels int64 (N,) => images float32 (N, C, H, W) in [-1, 1]."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.latent_size = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        self.classes = classes
        self.layers = nn.Sequential(
            Linear(parameters.latent_size + classes, parameters.hidden),
            nn.LeakyReLU(0.02),
            nn.LayerNorm(parameters.hidden),
            Linear(parameters.hidden, channels * height * width),
            Tanh(),
            nn.Unflatten(1, image_shape),
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.layers(_joined(z, labels, self.classes))


class Discriminator(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] and labels int64 (N,) => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.classes = classes
        self.layers = nn.Sequential(
            Linear(channels * height * width + classes, parameters.hidden),
            nn.LeakyReLU(0.02),
            nn.LayerNorm(parameters.hidden),
            Linear(parameters.hidden, 1),
            nn.Flatten(0),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(_joined(images.flatten(1), labels, self.classes))


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, H, W) in `classes` classes."""
    networks: dict[str, nn.Module] = {
        "generator": Generator(parameters, given.image_shape, given.classes),
        "discriminator": Discriminator(parameters, given.image_shape, given.classes),
    }
    return normal_weights(networks, parameters.init_std)


def _joined(inputs: Tensor, labels: Tensor, classes: int) -> Tensor:
    """float32 (N, D) and int64 (N,) => (N, D + classes)."""
    return torch.cat((inputs, one_hot(labels, classes, inputs.dtype)), 1)
