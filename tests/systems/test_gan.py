"""One step of the game against a plain one, written out."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from reprogan.data.batches import Batch
from reprogan.models import architecture
from reprogan.models.latents import draw_latents
from reprogan.systems import system
from reprogan.training.randomness import Randomness

RATE = {"learning_rate": 1e-3, "betas": [0.5, 0.999]}
OBJECTIVE = {"loss": "non_saturating", "generator": RATE, "discriminator": RATE}
NETWORKS = {
    "fully_connected": {
        "latent_size": 8,
        "latent_distribution": "uniform",
        "hidden": 16,
        "dropout": 0.0,
        "init_std": None,
    },
    "dcgan": {"latent_size": 8, "latent_distribution": "normal", "filters": 4, "init_std": 0.02},
}


def plain_step(networks: dict[str, nn.Module], optimisers: dict, real: torch.Tensor, z: torch.Tensor) -> list[float]:
    """Goodfellow et al. 2014, Algorithm 1, as anyone would write it, with probabilities from logits."""
    generator, discriminator = networks["generator"], networks["discriminator"]
    ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
    fake = generator(z)
    real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
    judged = binary_cross_entropy_with_logits(real_logits, ones) + binary_cross_entropy_with_logits(fake_logits, zeros)
    optimisers["discriminator"].zero_grad()
    judged.backward()
    optimisers["discriminator"].step()
    fooled = binary_cross_entropy_with_logits(discriminator(fake), ones)
    optimisers["generator"].zero_grad()
    fooled.backward()
    optimisers["generator"].step()
    return [x.item() for x in (fooled, judged, real_logits.sigmoid().mean(), fake_logits.sigmoid().mean())]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_steps_against_plain_ones(name):
    torch.manual_seed(1)
    ours = architecture.build(name, NETWORKS[name], (1, 28, 28), 10)
    theirs = copy.deepcopy(ours)
    game = system.build("gan", ours, OBJECTIVE, "")
    adams = {key: torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999)) for key, net in theirs.items()}
    draws = Randomness(1, torch.device("cpu"))
    for step in range(4):
        real = torch.rand(12, 1, 28, 28) * 2 - 1
        batch = Batch(real, torch.zeros(12, dtype=torch.int64))
        losses = game.step(lambda batch=batch: batch, draws, 12 * step)
        z = draw_latents(theirs["generator"], 12, draws.generator("noise", 12 * step))
        expected = plain_step(theirs, adams, real, z)
        assert [float(loss) for loss in losses] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert game.losses == ("generator_loss", "discriminator_loss", "real_probability", "fake_probability")


def test_the_preview_is_always_of_the_same_latents_and_leaves_training_on():
    torch.manual_seed(1)
    networks = architecture.build("dcgan", NETWORKS["dcgan"], (1, 28, 28), 10)
    for network in networks.values():
        network.train()
    game = system.build("gan", networks, OBJECTIVE, "")
    draws = Randomness(1, torch.device("cpu"))
    statistics = copy.deepcopy(networks["generator"].state_dict())
    first = game.preview(networks, draws)
    assert first.shape == (64, 1, 28, 28) and first.dtype == torch.uint8
    assert torch.equal(game.preview(networks, draws), first)
    assert networks["generator"].training
    assert all(torch.equal(value, statistics[key]) for key, value in networks["generator"].state_dict().items())
