"""The game's labels and previews, and one line for each of its settings that cannot be."""

import pytest
import torch
from torch import Tensor

from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.systems import replay, system
from reprogan.systems.system import Position

NOTHING = Batch(torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))  # no system here previews held-out images

COUNT = 6
CONDITIONAL = ["cgan", "dcgan concatenation", "dcgan projection"]


def batch() -> Batch:
    return Batch(torch.rand(COUNT, 1, 28, 28) * 2 - 1, torch.randint(10, (COUNT,)))


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_fakes_are_of_random_classes_in_range(game, objective, draws, kind, monkeypatch):
    monkeypatch.setenv(replay.OFF, "off")  # a replayed step calls no network, and so no hook of one
    ours, _ = game(kind, "gan", objective(n_critic=2))
    asked: list[Tensor] = []
    ours.networks["generator"].register_forward_pre_hook(lambda _, given: asked.append(given[1]))
    for step in range(10):
        ours.step(lambda: batch(), draws, Position(COUNT * step, 0.0))
    labels = torch.cat(asked)
    assert len(labels) == 10 * 2 * COUNT and labels.dtype == torch.int64
    assert sorted(labels.unique().tolist()) == list(range(10))
    assert len({tuple(some.tolist()) for some in asked}) == 20


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_the_preview_of_a_conditional_generator_covers_all_classes(game, objective, draws, kind):
    ours, _ = game(kind, "gan", objective())
    asked: list[Tensor] = []
    ours.networks["generator"].register_forward_pre_hook(lambda _, given: asked.append(given[1]))
    assert ours.preview(ours.networks, draws, NOTHING).shape == (64, 1, 28, 28)
    assert asked[0].tolist() == [index % 10 for index in range(64)]


def test_the_preview_is_always_of_the_same_latents_and_leaves_training_on(game, objective, draws):
    ours, _ = game("dcgan", "gan", objective())
    generator = ours.networks["generator"].train()
    statistics = {key: value.clone() for key, value in generator.state_dict().items()}
    first = ours.preview(ours.networks, draws, NOTHING)
    assert first.shape == (64, 1, 28, 28) and first.dtype == torch.uint8 and first.unique().numel() > 10
    assert torch.equal(ours.preview(ours.networks, draws, NOTHING), first)
    assert generator.training
    assert all(torch.equal(value, statistics[key]) for key, value in generator.state_dict().items())


def test_the_preview_of_points_is_a_thousand_of_them(game, objective, draws):
    ours, _ = game("multilayer", "gan", objective())
    with torch.no_grad():
        ours.networks["generator"].layers[-2].bias.fill_(7.5)
    points = ours.preview(ours.networks, draws, NOTHING)
    assert points.shape == (1000, 2, 1, 1) and points.dtype == torch.float32 and points.mean() > 5


MISTAKES = {
    "BatchNorm with a penalty": (
        "dcgan",
        {"loss": "wasserstein", "penalty": 10.0},
        "params.yaml: objective.penalty is 10.0 on a discriminator with BatchNorm",
    ),
    "a loss without penalty": (
        "multilayer",
        {"loss": "hinge", "penalty": 10.0},
        "params.yaml: objective.penalty is 10.0; hinge has no penalty on gradients; expected 0",
    ),
    "burn-in without penalty": (
        "multilayer",
        {"loss": "relativistic", "burn_in": {"share": 0.2, "penalty": 2.0, "beta_2": 0.9}},
        "params.yaml: objective.burn_in is there and penalty is 0.0; expected a penalty above 0, or null",
    ),
    "no step of the discriminator": (
        "multilayer",
        {"n_critic": 0},
        "params.yaml: objective.n_critic: found 0; input should be greater than or equal to 1",
    ),
    "a bound of nothing": ("multilayer", {"clip": 0.0}, "params.yaml: objective.clip: found 0.0"),
    "a burn-in that never ends": (
        "multilayer",
        {"loss": "relativistic", "penalty": 1.0, "burn_in": {"share": 0.0, "penalty": 2.0, "beta_2": 0.9}},
        "params.yaml: objective.burn_in.share: found 0.0",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line(game, objective, mistake):
    kind, changes, says = MISTAKES[mistake]
    with pytest.raises(UserError) as error:
        game(kind, "gan", objective(**changes))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_system():
    with pytest.raises(UserError, match=r"params.yaml: system: found 'diffusion'; expected one of autoencoder, .*gan"):
        system.build("diffusion", {}, {}, "params.yaml: ")
