"""Multilayer perceptrons that draw and judge points in the plane.

Source: Metz et al. 2017 (Unrolled GANs), Appendix A, for the task; ReLU instead of tanh.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.layers import Linear

_POINT = (2, 1, 1)  # x and y are the channels of one pixel


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `multilayer`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    hidden: int = Field(ge=1, description="width of each hidden layer")
    layers: int = Field(ge=1, description="hidden layers of each network")


class Generator(nn.Module):
    """z float32 (N, latent_size) => points float32 (N, 2, 1, 1)."""

    preview_count = 1000

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self.latent_size = parameters.latent_size
        self.latent_distribution = parameters.latent_distribution
        self.layers = nn.Sequential(*_layers(parameters, parameters.latent_size, 2), nn.Unflatten(1, _POINT))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    """points float32 (N, 2, 1, 1) => logits float32 (N,)."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *_layers(parameters, 2, 1), nn.Flatten(0))

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for points, (2, 1, 1). Raises UserError for images."""
    if given.image_shape != _POINT:
        raise UserError(
            f"architecture multilayer: the data is of shape {given.image_shape}; expected points, {_POINT}; for images "
            "use fully_connected"
        )
    return {"generator": Generator(parameters), "discriminator": Discriminator(parameters)}


def _layers(parameters: Parameters, inputs: int, outputs: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(parameters.layers):
        layers += [Linear(inputs, parameters.hidden), nn.ReLU()]
        inputs = parameters.hidden
    return [*layers, Linear(inputs, outputs)]
