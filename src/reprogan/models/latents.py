"""Latents: where a generator's images come from."""

from typing import cast

import torch
from torch import Tensor, nn


def draw_latents(network: nn.Module, count: int, source: torch.Generator) -> Tensor:
    """`count` latents for the generator `network`, float32 (count, network.latent_size), on the source's device.

    `network.latent_distribution` says where from: "normal" is N(0, 1), "uniform" U(-1, 1).
    """
    z = torch.empty(count, cast(int, network.latent_size), device=source.device)
    if network.latent_distribution == "uniform":
        return z.uniform_(-1, 1, generator=source)
    return z.normal_(generator=source)
