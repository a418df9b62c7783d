"""Latents: where a generator's images come from."""

import torch
from torch import Tensor


def draw_latents(count: int, size: int, distribution: str, generator: torch.Generator) -> Tensor:
    """`count` latents, float32 (count, size): from N(0, 1) ("normal") or U(-1, 1) ("uniform")."""
    z = torch.empty(count, size, device=generator.device)
    if distribution == "uniform":
        return z.uniform_(-1, 1, generator=generator)
    return z.normal_(generator=generator)
