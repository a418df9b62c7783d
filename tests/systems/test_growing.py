"""Growing: phases counted in images seen, real images as the fakes are, and a step that replay does not change."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from reprogan.blocks import parse
from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.systems import gan, system
from reprogan.systems.gan import Growth
from reprogan.systems.recording import OFF
from reprogan.systems.system import Position
from reprogan.training.randomness import Randomness

NOTHING = Batch(torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))  # no system here previews held-out images

NETWORK = {"latent_size": 6, "latent_distribution": "normal", "widths": [8, 6, 4]}
RATE = {"learning_rate": 1e-3, "betas": [0.0, 0.99]}
OBJECTIVE = {
    "loss": "wasserstein",
    "n_critic": 1,
    "penalty": 10.0,
    "clip": None,
    "burn_in": None,
    "growth": {"stable": [12, 12], "fade": [16, 16]},
    "generator": RATE,
    "discriminator": RATE,
}
COUNT, BUDGET = 4, 100


def game(**changes) -> gan.System:
    torch.manual_seed(3)
    networks = architecture.build("progan", NETWORK, (3, 16, 16), 0)
    built = system.build("gan", networks, OBJECTIVE | changes, "")
    assert isinstance(built, gan.System)
    return built


def play(built: gan.System, steps: int, first: int = 0, size: int = COUNT) -> list[tuple[Tensor, ...]]:
    randomness = Randomness(1, torch.device("cpu"))
    images = torch.Generator().manual_seed(5)
    recorded = []
    for step in range(steps):
        seen = first + step * size

        def batch() -> Batch:
            return Batch(torch.rand(size, 3, 16, 16, generator=images) * 2 - 1, torch.zeros(size, dtype=torch.int64))

        recorded.append(built.step(batch, randomness, Position(seen, seen / BUDGET)))
    return recorded


def test_phases():
    growth = Growth(stable=(20, 25), fade=(10, 20))
    reached = {seen: growth.phase(seen) for seen in (0, 19, 20, 25, 29, 30, 54, 55, 60, 74, 75, 76, 10_000)}
    assert reached == {
        0: (0, 1.0),
        19: (0, 1.0),
        20: (1, 0.0),
        25: (1, 0.5),
        29: (1, 0.9),
        30: (1, 1.0),
        54: (1, 1.0),
        55: (2, 0.0),
        60: (2, 0.25),
        74: (2, 0.95),
        75: (2, 1.0),
        76: (2, 1.0),
        10_000: (2, 1.0),
    }
    assert growth.images == 75


def test_the_schedule_is_in_the_history():
    built = game()
    assert built.losses[-2:] == ("side", "alpha")
    found = [(int(side), round(float(alpha), 3)) for *_, side, alpha in play(built, 24)]
    assert found[:3] == [(4, 1.0)] * 3
    assert found[3:10] == [(8, 0.0), (8, 0.25), (8, 0.5), (8, 0.75), (8, 1.0), (8, 1.0), (8, 1.0)]
    assert found[10:14] == [(16, 0.0), (16, 0.25), (16, 0.5), (16, 0.75)] and set(found[14:]) == {(16, 1.0)}


def test_only_weights_in_use_move():
    built = game(loss="non_saturating", penalty=0.0)  # under Wasserstein's the last bias has no say
    before = {name: [w.detach().clone() for w in net.parameters()] for name, net in built.networks.items()}
    play(built, 2)
    for name, network in built.networks.items():
        in_use = {id(weight) for weight in network.weights(0)}
        for weight, was in zip(network.parameters(), before[name], strict=True):
            assert (id(weight) in in_use) != torch.equal(weight, was)


def test_real_images_are_blended_as_the_fakes_are():
    built = game()
    images = torch.randn(4, 3, 16, 16)
    built._level, built._alpha = 0, 1.0
    torch.testing.assert_close(built._seen(images), avg_pool2d(images, 4))
    built._level, built._alpha = 1, 0.25
    half, quarter = avg_pool2d(images, 2), avg_pool2d(images, 4)
    expected = 0.75 * quarter.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.25 * half
    torch.testing.assert_close(built._seen(images), expected)
    built._level, built._alpha = 2, 1.0
    assert built._seen(images) is images


def test_previews_have_the_last_size_and_leave_the_network_full_grown():
    built = game()
    play(built, 2)
    preview = built.preview(built.networks, Randomness(1, torch.device("cpu")), NOTHING)
    assert preview.shape == (16, 3, 16, 16) and preview.dtype == torch.uint8
    assert torch.equal(preview[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3), preview)
    assert (built.generator.level, built.generator.fades) == (2, False)


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_a_replayed_step_gives_the_bits_that_autograd_gives(loss, monkeypatch):
    replayed = game(loss=loss)
    losses = play(replayed, 24)
    monkeypatch.setenv(OFF, "off")
    stepped = game(loss=loss)
    expected = play(stepped, 24)
    assert all(torch.equal(a, b) for a, b in zip(sum(losses, ()), sum(expected, ()), strict=True))
    for name, network in replayed.networks.items():
        others = stepped.networks[name].state_dict()
        assert all(torch.equal(value, others[key]) for key, value in network.state_dict().items())


def test_each_resolution_has_optimisers_of_its_own():
    built = game()
    assert sorted(built.optimisers) == [f"{n}_{k}" for n in ("discriminator", "generator") for k in range(3)]
    play(built, 3)
    steps = {name: int(optimiser.state_dict()["steps"]) for name, optimiser in built.optimisers.items()}
    assert steps == {f"{n}_{k}": 3 if k == 0 else 0 for n in ("discriminator", "generator") for k in range(3)}


def test_a_budget_that_ends_before_the_last_resolution_is_refused():
    changed = OBJECTIVE | {"growth": {"stable": [20, 40], "fade": [30, 30]}}
    with pytest.raises(UserError) as refused:
        parse(gan.Objective, changed, "").check_budget(120)
    assert str(refused.value) == (
        "objective.growth: stable and fade reach the last resolution after 120 images; training.images is 120; "
        "expected more"
    )
    parse(gan.Objective, changed, "").check_budget(121)


def test_a_growth_of_another_number_of_doublings_is_refused():
    with pytest.raises(UserError) as refused:
        game(growth={"stable": [20], "fade": [30]})
    assert str(refused.value) == (
        "objective.growth: stable and fade have 1 entries; expected 2, one for each doubling of the network's "
        "resolution"
    )


def test_what_does_not_grow_is_refused():
    networks = architecture.build(
        "multilayer", {"latent_size": 2, "latent_distribution": "normal", "hidden": 4, "layers": 1}, (2, 1, 1), 8
    )
    with pytest.raises(UserError, match="the architecture does not grow; expected null"):
        system.build("gan", networks, OBJECTIVE, "")


def test_networks_that_can_grow_train_at_their_last_size_without_growth():
    built = game(growth=None)
    assert built.losses[-1] == "gradient_norm" and set(built.optimisers) == {"generator", "discriminator"}
    recorded = play(built, 3)
    assert all(torch.isfinite(value) for step in recorded for value in step)


def test_growth_is_parsed():
    with pytest.raises(UserError, match=r"growth.fade.1: found 0; input should be greater than or equal to 1"):
        parse(gan.Objective, OBJECTIVE | {"growth": {"stable": [1, 1], "fade": [1, 0]}}, "")
    with pytest.raises(UserError, match=r"growth: fade has 1 entries; expected 2, as stable has"):
        parse(gan.Objective, OBJECTIVE | {"growth": {"stable": [1, 1], "fade": [1]}}, "")
