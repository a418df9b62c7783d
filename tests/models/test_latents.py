"""Where latents come from."""

import torch
from torch import nn

from reprogan.models.latents import draw_latents


def latents(distribution: str, seed: int = 1) -> torch.Tensor:
    network = nn.Identity()
    network.latent_size, network.latent_distribution = 50, distribution
    return draw_latents(network, 2000, torch.Generator().manual_seed(seed))


def test_uniform_fills_minus_one_to_one():
    z = latents("uniform")
    assert z.shape == (2000, 50) and z.dtype == torch.float32
    assert z.min() >= -1 and z.max() < 1 and z.min() < -0.999 and z.max() > 0.999
    assert abs(z.mean()) < 0.01 and abs(z.std() - 3**-0.5) < 0.01


def test_normal_has_mean_0_and_deviation_1():
    z = latents("normal")
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and z.max() > 3


def test_the_source_alone_decides():
    assert torch.equal(latents("normal"), latents("normal"))
    assert not torch.equal(latents("normal"), latents("normal", 2))
