"""The convolutional GAN for images of 64×64 and more; with self-attention and spectral normalisation it is the SAGAN.

Sources: Radford et al. 2016 (DCGAN), Figure 1; Zhang et al. 2019, "Self-Attention Generative Adversarial Networks";
layer sizes after Ogawa 2019, "PyTorch ni yoru hatten deep learning", chapter 5.
"""

import os
from collections.abc import Iterator
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, scaled_dot_product_attention

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.initialisation import normal_weights
from reprogan.models.layers import Norm, Tanh, norm_layer, spectral_norm

_LEAST = 64  # from 4×4 up by doublings; the last one is not a hidden layer
_FEW_POSITIONS = 256  # whose map takes less time on a CPU than a fused kernel, and less memory than other layers
_REDUCTION = 8  # channels of queries and keys: an eighth (SAGAN, section 3)

Side = Literal[4, 8, 16, 32, 64, 128]


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `dcgan64`."""

    latent_size: int = Field(ge=1)
    latent_distribution: Literal["normal", "uniform"]
    filters: int = Field(ge=1, description="channels next to the image; eight times as many at 4×4")
    discriminator_norm: Norm
    generator_spectral: bool = Field(description="spectral normalisation of the generator too, beside its BatchNorm")
    generator_attention: tuple[Side, ...] = Field(strict=False, description="sides at which the generator attends")
    discriminator_attention: tuple[Side, ...] = Field(strict=False, description="the same of the discriminator")
    init_std: float | None = Field(gt=0, description="standard deviation of the initial weights; null: torch's own")


class SelfAttention(nn.Module):
    """x + γ · attention(x) over all positions: float32 (N, C, H, W) => the same shape; γ begins at 0.

    Queries and keys have C/8 channels, values C; weights are the softmax over positions of q·k, not scaled
    (SAGAN, Equations 1 to 3; the 1×1 convolution after the attention and the one for its values are one here).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // _REDUCTION)
        self.query = spectral_norm(Conv2d(channels, inner, 1))
        self.key = spectral_norm(Conv2d(channels, inner, 1))
        self.value = spectral_norm(Conv2d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        has_few_positions = x.is_cpu and x.shape[2] * x.shape[3] <= _FEW_POSITIONS
        attend = _by_its_map if has_few_positions else _by_a_fused_kernel
        return x + self.gamma * attend(*self._projections(x)).transpose(1, 2).reshape(x.shape)

    def attention_map(self, x: Tensor) -> Tensor:
        """How much each position (row) attends to each other: float32 (N, H·W, H·W), rows sum to 1.

        Raises UserError if it would not fit into memory.
        """
        positions = x.shape[2] * x.shape[3]
        wanted, there = len(x) * positions**2 * 4, _free_memory()
        if wanted > there:
            raise UserError(
                f"self-attention over {x.shape[2]}×{x.shape[3]} positions of {len(x)} images: the map wants "
                f"{wanted / 2**30:.1f} GiB; {there / 2**30:.1f} are free; choose fewer images or a lower resolution"
            )
        query, key, _ = self._projections(x)
        return torch.softmax(query @ key.transpose(1, 2), 2)

    def _projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys (N, H·W, C/8), values (N, H·W, C)."""
        layers = (self.query, self.key, self.value)
        weights = torch.cat([cast(Tensor, layer.weight) for layer in layers])
        biases = torch.cat([cast(Tensor, layer.bias) for layer in layers])
        projected = conv2d(x, weights, biases).flatten(2).transpose(1, 2)
        query, key, value = projected.split([layer.out_channels for layer in layers], 2)
        return query, key, value


def _by_its_map(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q·k) v: (N, P, K), (N, P, K), (N, P, C) => (N, P, C)."""
    return torch.bmm(torch.softmax(torch.bmm(query, key.transpose(1, 2)), 2), value)


def _by_a_fused_kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same, and no map is kept. Fused kernels want heads of one width: zeros change no product."""
    width = value.shape[2] - key.shape[2]
    query, key = pad(query, (0, width)), pad(key, (0, width))
    return scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]


class Generator(nn.Module):
    """z float32 (N, latent_size) => images float32 (N, C, size, size) in [-1, 1]."""

    def __init__(self, parameters: Parameters, channels: int, size: int) -> None:
        super().__init__()
        z, f = parameters.latent_size, parameters.filters
        self.latent_size = z
        self.latent_distribution = parameters.latent_distribution
        self.attends = bool(parameters.generator_attention)
        layers: list[nn.Module] = [nn.Unflatten(1, (z, 1, 1))]
        widths = _widths(f, size)
        for inputs, (side, outputs) in zip((z, *widths.values()), widths.items(), strict=False):
            up = ConvTranspose2d(inputs, outputs, 4, *((1, 0) if side == 4 else (2, 1)), bias=False)
            layers += [spectral_norm(up) if parameters.generator_spectral else up, BatchNorm2d(outputs), nn.ReLU()]
            if side in parameters.generator_attention:
                layers.append(SelfAttention(outputs))
        self.layers = nn.Sequential(*layers, ConvTranspose2d(f, channels, 4, 2, 1), Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)

    def attention_maps(self, z: Tensor) -> Iterator[Tensor]:
        """The map of each attention layer for the latents z, in order: float32 (N, positions, positions)."""
        x = z
        for layer in self.layers:
            if isinstance(layer, SelfAttention):
                yield layer.attention_map(x)
            x = layer(x)


class Discriminator(nn.Module):
    """images float32 (N, C, size, size) in [-1, 1] => logits float32 (N,)."""

    def __init__(self, parameters: Parameters, channels: int, size: int) -> None:
        super().__init__()
        f, norm = parameters.filters, parameters.discriminator_norm
        bias = norm in ("none", "spectral")
        layers: list[nn.Module] = []
        widths = dict(reversed(_widths(f, size).items()))
        for inputs, (side, outputs) in zip((channels, *widths.values()), widths.items(), strict=False):
            down = Conv2d(inputs, outputs, 4, 2, 1, bias=bias or side == size // 2)
            layers.append(spectral_norm(down) if norm == "spectral" else down)
            layers += [nn.LeakyReLU(0.2)] if side == size // 2 else [norm_layer(norm, outputs), nn.LeakyReLU(0.2)]
            if side in parameters.discriminator_attention:
                layers.append(SelfAttention(outputs))
        self.layers = nn.Sequential(*layers, Conv2d(8 * f, 1, 4), nn.Flatten(0))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The networks for images of `image_shape` (C, size, size).

    Raises UserError for a size that is not 64 times a power of two, and for attention at a side that no layer has.
    """
    channels, height, width = given.image_shape
    if height != width or height < _LEAST or height & (height - 1):
        raise UserError(
            f"architecture dcgan64: the images are {height}×{width}; expected {_LEAST}×{_LEAST}, or sides twice or "
            f"four times that; set view.size to {_LEAST}"
        )
    sides = _widths(1, height)
    for key in ("generator_attention", "discriminator_attention"):
        if unknown := [side for side in getattr(parameters, key) if side not in sides]:
            raise UserError(
                f"network.{key}: found {unknown[0]}; the images are {height}×{width}; expected sides of hidden layers: "
                f"{', '.join(map(str, sides))}"
            )
    networks: dict[str, nn.Module] = {
        "generator": Generator(parameters, channels, height),
        "discriminator": Discriminator(parameters, channels, height),
    }
    return normal_weights(networks, parameters.init_std)


def _widths(filters: int, size: int) -> dict[int, int]:
    """{side of a hidden layer: its channels}, from 4×4 up: half as many at each doubling, from 8·`filters` on.

    Those of 64×64 images are 8, 4, 2 and 1 times `filters`; larger images begin with more layers of 8.
    """
    sides = [4 << doubling for doubling in range(size.bit_length() - 3)]
    return {side: min(8, size // (2 * side)) * filters for side in sides}


def _free_memory() -> int:
    """Bytes of main memory that can be had (what is on another device, that device refuses itself)."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
