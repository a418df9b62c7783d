"""The convolutional GAN for 28×28 images: transposed convolutions against strided ones.

Sources: Radford et al. 2016 (DCGAN); layer sizes after Raschka, Liu and Mirjalili 2022, chapter 17. Conditions: Mirza
and Osindero 2014 (labels as further inputs), Miyato and Koyama 2018 (projection).
"""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.initialisation import normal_weights
from reprogan.models.latents import one_hot
from reprogan.models.layers import Linear, Norm, Tanh, norm_layer, spectral_norm

_SIZE = 28
_EMBEDDING_STD = 0.1


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `dcgan`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    filters: int = Field(ge=1, description="channels next to the image; four times as many at 4×4")
    discriminator_norm: Norm
    condition: Literal["none", "concatenation", "projection"]
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class Generator(nn.Module):
    """z float32 (N, latent_size), where it is conditional labels int64 (N,) => images (N, C, 28, 28) in [-1, 1]."""

    def __init__(self, parameters: Parameters, channels: int, classes: int) -> None:
        super().__init__()
        z, f = parameters.latent_size, parameters.filters
        self.latent_size = z
        self.latent_distribution = parameters.latent_distribution
        self.classes = classes
        if classes:
            self.embedding = nn.Embedding(classes, z)
            # Small beside the latent: else the generator learns a picture a class before it listens to the latent.
            nn.init.normal_(self.embedding.weight, 0.0, _EMBEDDING_STD)
        inputs = 2 * z if classes else z
        self.layers = nn.Sequential(
            nn.Unflatten(1, (inputs, 1, 1)),
            ConvTranspose2d(inputs, 4 * f, 4, 1, 0, bias=False),  # => (4f, 4, 4)
            BatchNorm2d(4 * f),
            nn.LeakyReLU(0.2),
            ConvTranspose2d(4 * f, 2 * f, 3, 2, 1, bias=False),  # => (2f, 7, 7)
            BatchNorm2d(2 * f),
            nn.LeakyReLU(0.2),
            ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False),  # => (f, 14, 14)
            BatchNorm2d(f),
            nn.LeakyReLU(0.2),
            ConvTranspose2d(f, channels, 4, 2, 1),  # => (C, 28, 28)
            Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is not None:
            # Shares of the classes, float (N, classes), have as much of each one's vector.
            vector = labels @ self.embedding.weight if labels.is_floating_point() else self.embedding(labels)
            z = torch.cat((z, vector), 1)
        return self.layers(z)


class Discriminator(nn.Module):
    """images float32 (N, C, 28, 28) in [-1, 1], and where it is conditional labels int64 (N,) => logits float32 (N,).

    With "concatenation" a label joins its image as a channel a class, all 1 for its own and 0 for the others; with
    "projection" the inner product of a class's own vector with the last features, summed over positions, is added to
    the logit.
    """

    def __init__(self, parameters: Parameters, channels: int, classes: int) -> None:
        super().__init__()
        f, norm = parameters.filters, parameters.discriminator_norm
        self.classes = classes
        self.condition = parameters.condition
        if self.condition == "concatenation":
            channels += classes
        elif self.condition == "projection":
            self.projection = Linear(classes, 4 * f, bias=False)
        normalised: Callable[[nn.Module], nn.Module] = spectral_norm if norm == "spectral" else nn.Identity()
        bias = norm in ("none", "spectral")
        self.features = nn.Sequential(
            normalised(Conv2d(channels, f, 4, 2, 1)),  # => (f, 14, 14)
            nn.LeakyReLU(0.2),
            normalised(Conv2d(f, 2 * f, 4, 2, 1, bias=bias)),  # => (2f, 7, 7)
            norm_layer(norm, 2 * f),
            nn.LeakyReLU(0.2),
            normalised(Conv2d(2 * f, 4 * f, 3, 2, 1, bias=bias)),  # => (4f, 4, 4)
            norm_layer(norm, 4 * f),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Sequential(normalised(Conv2d(4 * f, 1, 4, 1, 0)), nn.Flatten(0))  # => (1, 1, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            return self.head(self.features(images))
        told = one_hot(labels, self.classes, images.dtype)
        if self.condition == "concatenation":
            maps = told[:, :, None, None].expand(-1, -1, *images.shape[2:])
            return self.head(self.features(torch.cat((images, maps), 1)))
        features = self.features(images)
        return self.head(features) + (self.projection(told) * features.sum((2, 3))).sum(1)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, 28, 28) in `classes` classes, which conditional ones are told.

    Raises UserError for another size.
    """
    channels, height, width = given.image_shape
    if (height, width) != (_SIZE, _SIZE):
        raise UserError(
            f"architecture dcgan: the images are {height}×{width}; expected {_SIZE}×{_SIZE}; "
            "use fully_connected, or prepare images of that size"
        )
    told = 0 if parameters.condition == "none" else given.classes
    networks: dict[str, nn.Module] = {
        "generator": Generator(parameters, channels, told),
        "discriminator": Discriminator(parameters, channels, told),
    }
    return normal_weights(networks, parameters.init_std)
