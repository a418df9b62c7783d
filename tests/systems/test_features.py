"""Features: learned from attributes where there are any, else by taking noise away; each step against a plain one."""

import copy

import pytest
import torch
from torch import Tensor, nn

from reprogan.data.batches import Batch
from reprogan.models import architecture
from reprogan.systems import system
from reprogan.systems.system import Position

NETWORK = {"widths": [4, 6], "features": 8}
OBJECTIVE = {"loss": "features", "learning_rate": 1e-2, "betas": [0.9, 0.99], "weight_decay": 1e-2, "noise": 0.3}
SHAPE = (3, 10, 12)
OPTIONS = torch.tensor([[0, 2], [1, 4], [1, 3], [0, 2]])


def trained(answers: int, draws, steps: int = 3) -> tuple[dict[str, nn.Module], list[tuple[Tensor, ...]], Tensor]:
    torch.manual_seed(2)
    networks = architecture.build("face_features", NETWORK, SHAPE, answers)
    before = copy.deepcopy(networks)
    built = system.build("features", networks, OBJECTIVE, "")
    images = torch.rand(4, *SHAPE) * 2 - 1
    losses = [built.step(lambda: Batch(images, OPTIONS), draws, Position(4 * step, 0.0)) for step in range(steps)]
    assert len(losses[0]) == len(built.losses)
    return networks | {f"{name} before": network for name, network in before.items()}, losses, images


def plain(networks: dict[str, nn.Module], loss_of, steps: int = 3) -> list[float]:
    """AdamW of torch's own on the networks as they were."""
    before = [network for name, network in networks.items() if name.endswith("before")]
    weights = [weight for network in before for weight in network.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.99), weight_decay=1e-2)
    losses = []
    for step in range(steps):
        optimiser.zero_grad()
        loss = loss_of(step)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_attributes_are_learned_as_a_plain_loop_learns_them(draws):
    networks, losses, images = trained(5, draws)
    truth = torch.zeros(4, 5)
    for row, options in enumerate(OPTIONS.tolist()):
        truth[row, options] = 1.0
    criterion = nn.BCEWithLogitsLoss()
    expected = plain(networks, lambda step: criterion(networks["classifier before"](images), truth))
    assert [float(loss) for loss, _ in losses] == pytest.approx(expected, rel=1e-5)
    assert draws.asked == [] and all(0 <= float(accuracy) <= 1 for _, accuracy in losses)


def test_without_attributes_noise_is_taken_away(draws):
    networks, losses, images = trained(0, draws)
    assert draws.asked == [("corruption", 0), ("corruption", 4), ("corruption", 8)]

    def loss_of(step: int) -> Tensor:
        noise = torch.randn(images.shape, generator=draws.generator("corruption", 4 * step))
        restored = networks["decoder before"](networks["encoder before"](images + 0.3 * noise))
        return nn.functional.mse_loss(restored, images)

    assert [float(loss) for (loss,) in losses] == pytest.approx(plain(networks, loss_of), rel=1e-5)
    assert networks["decoder"](networks["encoder"](images)).shape == images.shape


def test_denoising_learns(draws):
    _, losses, _ = trained(0, draws, 40)
    assert losses[-1][0] < 0.8 * losses[0][0]
