"""Steps of an autoencoder and of a variational one against plain ones with torch.optim.Adam."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from reprogan.data.batches import Batch
from reprogan.losses.divergence import kl_divergence as kl_divergence_of_codes
from reprogan.systems.system import Position

NOTHING = Batch(torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))  # no system here previews held-out images

COUNT = 6
PIXELS = 28 * 28


def block(loss: str, **more: float) -> dict:
    return {"loss": loss, "learning_rate": 1e-2, "betas": [0.8, 0.95], **more}


def reconstruction(loss: str, logits: Tensor, images: Tensor) -> Tensor:
    if loss == "bernoulli":
        return PIXELS * binary_cross_entropy_with_logits(logits, images / 2 + 0.5)
    return PIXELS * mse_loss(2 * torch.sigmoid(logits) - 1, images)


def some() -> Batch:
    return Batch(torch.rand(COUNT, 1, 28, 28) * 2 - 1, torch.zeros(COUNT, dtype=torch.int64))


def plain_adam(networks: dict) -> torch.optim.Adam:
    weights = [*networks["encoder"].parameters(), *networks["decoder"].parameters()]
    return torch.optim.Adam(weights, lr=1e-2, betas=(0.8, 0.95))


@pytest.mark.parametrize("loss", ["bernoulli", "squared_error"])
def test_steps_of_an_autoencoder(game, draws, same, loss):
    ours, theirs = game("autoencoder", "autoencoder", block(loss))
    adam = plain_adam(theirs)
    for step in range(3):
        batch = some()
        (found,) = ours.step(lambda batch=batch: batch, draws, Position(COUNT * step, 0.0))
        expected = reconstruction(loss, theirs["decoder"].logits(theirs["encoder"](batch.images)), batch.images)
        adam.zero_grad()
        expected.backward()
        adam.step()
        assert found.item() == pytest.approx(expected.item(), rel=1e-9) and not found.requires_grad
        same(ours, theirs)
    assert ours.losses == ("reconstruction_loss",)
    assert ours.preview(ours.networks, draws, NOTHING) is None


@pytest.mark.parametrize("loss, kl_weight", [("bernoulli", 1.0), ("bernoulli", 4.0), ("squared_error", 0.25)])
def test_steps_of_a_variational_autoencoder(game, draws, same, loss, kl_weight):
    """Kingma and Welling 2014, Algorithm 1: codes are drawn as mean + deviation · noise."""
    ours, theirs = game("vae", "vae", block(loss, kl_weight=kl_weight))
    adam = plain_adam(theirs)
    for step in range(3):
        batch = some()
        found = ours.step(lambda batch=batch: batch, draws, Position(COUNT * step, 0.0))
        noise = torch.randn(COUNT, 3, generator=draws.generator("noise", COUNT * step))
        outputs = theirs["encoder"](batch.images)
        mean, deviation = outputs[:, :3], torch.exp(outputs[:, 3:]).sqrt()
        kl = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(1).mean()
        rebuilt = reconstruction(loss, theirs["decoder"].logits(mean + deviation * noise), batch.images)
        adam.zero_grad()
        (rebuilt + kl_weight * kl).backward()
        adam.step()
        expected = [(rebuilt + kl).item(), rebuilt.item(), kl.item()]
        assert [value.item() for value in found] == pytest.approx(expected, rel=1e-8)
        assert not any(value.requires_grad for value in found)
        same(ours, theirs)
    assert ours.losses == ("negative_elbo", "reconstruction_loss", "kl_divergence")
    assert ("noise", 0) in draws.asked and ("noise", COUNT) in draws.asked


@pytest.mark.parametrize("count, size", [(7, 5), (1, 1), (3, 40)])
def test_the_divergence_is_that_of_normal_distributions(count, size):
    source = torch.Generator().manual_seed(1)
    mean, log_variance = ((2 * torch.randn(count, size, generator=source)).double().requires_grad_() for _ in range(2))
    standard = Normal(torch.zeros(size).double(), torch.ones(size).double())
    expected = kl_divergence(Normal(mean, log_variance.exp().sqrt()), standard).sum(1).mean()
    found = kl_divergence_of_codes(mean, log_variance)
    torch.testing.assert_close(found, expected)
    slopes = (torch.autograd.grad(value, (mean, log_variance)) for value in (found, expected))
    torch.testing.assert_close(*slopes)


def test_the_divergence_is_0_at_the_standard_normal_distribution_alone():
    nothing = torch.zeros(3, 2)
    assert kl_divergence_of_codes(nothing, nothing).item() == 0
    for mean, log_variance in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)):
        assert kl_divergence_of_codes(nothing + mean, nothing + log_variance).item() > 1e-3


def test_the_preview_is_drawn_from_the_prior(game, draws):
    ours, _ = game("vae", "vae", block("bernoulli", kl_weight=1.0))
    seen: list[Tensor] = []
    ours.networks["decoder"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    first = ours.preview(ours.networks, draws, NOTHING)
    assert first.shape == (64, 1, 28, 28) and first.dtype == torch.uint8
    assert torch.equal(ours.preview(ours.networks, draws, NOTHING), first)
    assert torch.equal(seen[0], torch.randn(64, 3, generator=draws.generator("preview")))
