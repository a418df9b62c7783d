"""Replayed steps against the same steps through autograd: equal bits; and what cannot be replayed is refused."""

import copy
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reprogan.config import Compute, load
from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.systems import replay, system
from reprogan.systems.adam import Adam
from reprogan.systems.replay import OFF, Replayed, as_one
from reprogan.systems.system import Position
from reprogan.training.device import autocast
from reprogan.training.randomness import Randomness

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
COUNT, STEPS = 4, 6


def trained(name: str, precision: str) -> tuple[list[Tensor], list[tuple[Tensor, ...]], int]:
    """Weights and statistics, losses, and the calls of one network, after six steps of a variant in params.yaml."""
    variant = PARAMS.variant(name)
    size = variant.view.size or 28
    shape = {"ring": (2, 1, 1), "stacked": (3, size, size)}.get(variant.data, (1, size, size))
    randomness = Randomness(1, torch.device("cpu"))
    randomness.seed_layers(-1)
    networks = architecture.build(variant.architecture, variant.network, shape, 10)
    for network in networks.values():
        network.to(memory_format=torch.channels_last).train()
    calls: list[None] = []
    next(reversed(networks.values())).register_forward_hook(lambda *_: calls.append(None))
    built = system.build(variant.system, networks, variant.objective, "")
    images = torch.Generator().manual_seed(2)

    def batch() -> Batch:
        return Batch(torch.rand(COUNT, *shape, generator=images) * 2 - 1, torch.arange(COUNT))

    losses = []
    for step in range(STEPS):
        for optimiser in built.optimisers.values():
            optimiser.rate_factor = 1 - step / 10
        randomness.seed_layers(step)
        with autocast(Compute(**PARAMS.compute.model_dump() | {"precision": precision})):
            losses.append(built.step(batch, randomness, Position(step * COUNT, step / 10)))
    state = [value for network in networks.values() for value in network.state_dict().values()]
    return state, losses, len(calls)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", sorted(PARAMS.variants))
def test_every_variant_gives_the_bits_that_it_gives_through_autograd(name, precision, monkeypatch):
    replayed, replayed_losses, calls = trained(name, precision)
    monkeypatch.setenv(OFF, "off")
    stepped, stepped_losses, all_calls = trained(name, precision)
    assert calls * STEPS == all_calls * 2  # two steps were recorded, the others ran no network
    assert all(torch.equal(a, b) for a, b in zip(replayed, stepped, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(sum(replayed_losses, ()), sum(stepped_losses, ()), strict=True))
    assert not any(loss.requires_grad for loss in sum(replayed_losses, ()))


def steps(step: Callable[..., tuple[Tensor, ...]], count: int = 5) -> list[float]:
    """What a replayed step of one number gives for 1, 2, …"""
    replayed = Replayed(step)
    return [replayed(torch.tensor([float(value)]))[0].item() for value in range(1, count + 1)]


def test_a_step_sees_its_inputs_and_what_lives_on():
    total = torch.zeros(1)

    def step(x: Tensor) -> tuple[Tensor, ...]:
        total.add_(x)
        return (total * 2 + x,)

    assert steps(step) == [2 * sum(range(1, n + 1)) + n for n in range(1, 6)]


def test_views_show_what_is_changed_beneath_them():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = x.repeat(4)
        y.view(2, 2)[1].add_(1)
        y.view(2, 2).t().t().mul_(3)
        return (y.sum(),)

    assert steps(step) == [3 * (4 * n + 2) for n in range(1, 6)]


def test_results_may_be_inputs_views_or_what_lives_on():
    held = torch.tensor([7.0])
    replayed = Replayed(lambda x, _: (x, held, x.view(1, 1), x.detach(), x + 1))
    for value in range(1, 5):
        x = torch.tensor([float(value)])
        same, mine, view, alias, more = replayed(x, None)
        assert same is x and mine is held
        assert view.shape == (1, 1) and view.data_ptr() == alias.data_ptr() == x.data_ptr()
        assert more.item() == value + 1


def test_a_layers_own_draws_go_on_from_torchs_generator():
    replayed = Replayed(lambda x: (x + torch.rand(1),))
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        found.append(replayed(torch.zeros(1))[0].item())
    expected = []
    for seed in range(5):
        torch.manual_seed(seed)
        expected.append(torch.rand(1).item())
    assert found == expected


def test_rates_of_an_optimiser_are_those_of_the_call_not_of_the_recording():
    ours, theirs = nn.Linear(3, 1), nn.Linear(3, 1)
    theirs.load_state_dict(ours.state_dict())
    adams = [Adam(network.parameters(), 0.1, (0.9, 0.99)) for network in (ours, theirs)]

    def step(x: Tensor) -> tuple[Tensor, ...]:
        loss = ours(x).square().mean()
        adams[0].descend(loss)
        return (loss.detach(),)

    replayed = Replayed(step)
    for count in range(6):
        x = torch.randn(5, 3)
        for adam in adams:
            adam.rate_factor, adam.betas = 1 / (1 + count), (0.9, 0.99 - count / 100)
        replayed(x)
        adams[1].descend(theirs(x).square().mean())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_outside_of_a_recording_as_one_is_a_call():
    seen: list[Tensor] = []
    as_one(lambda *tensors: seen.extend(tensors), [torch.ones(1), torch.zeros(1)])
    assert [value.item() for value in seen] == [1.0, 0.0]


def test_inputs_of_another_shape_or_layout_are_recorded_on_their_own():
    calls = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        calls.append(x.shape)
        return (x.flatten() * 2,)

    replayed = Replayed(step)
    inputs = [torch.rand(2, 3), torch.rand(3, 2), torch.rand(3, 2).t(), torch.rand(2, 3, dtype=torch.float64)]
    for _ in range(4):
        for x in inputs:
            assert torch.equal(replayed(x)[0], x.flatten() * 2)
    assert len(calls) == 2 * len(inputs)


def test_what_a_line_makes_is_freed_after_its_last_use():
    alive: list[weakref.ref] = []
    held_at_the_end: list[int] = []

    def watch(tensor: Tensor) -> None:
        alive.append(weakref.ref(tensor))

    def step(x: Tensor) -> tuple[Tensor, ...]:
        first = x + 1
        as_one(watch, [first])
        last = first * 2
        del first
        as_one(count, [last])
        return (last,)

    def count(_: Tensor) -> None:
        gc.collect()
        held_at_the_end.append(sum(reference() is not None for reference in alive))
        alive.clear()

    replayed = Replayed(step)
    for _ in range(2):
        replayed(torch.ones(1))
    held_at_the_end.clear()
    assert replayed(torch.ones(1))[0].item() == 4.0
    assert held_at_the_end == [0]


def test_off_in_the_environment_runs_the_step_itself(monkeypatch):
    monkeypatch.setenv(OFF, "off")
    calls = []
    assert steps(lambda x: (calls.append(None), (x.sum() + x.item(),))[1]) == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert len(calls) == 5


def refused(step: Callable[..., tuple[Tensor, ...]], count: int = 5) -> str:
    with pytest.raises(UserError) as caught:
        steps(step, count)
    assert "\n" not in str(caught.value)
    assert "REPROGAN_REPLAY=off" in str(caught.value)
    return str(caught.value)


def test_a_number_that_is_read_back_is_refused():
    assert "read back" in refused(lambda x: (x * x.item(),))
    assert "read back" in refused(lambda x: (x if x > 0 else -x,))


def test_a_draw_from_a_generator_of_its_own_is_refused():
    source = torch.Generator()
    assert "hand it in" in refused(lambda x: (x + torch.rand(1, generator=source),))


def test_a_number_that_changes_is_refused():
    calls: list[None] = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        calls.append(None)
        return (x * len(calls),)

    assert "different kernels: t1 = aten_mul_Tensor(i0, 1), then t1 = aten_mul_Tensor(i0, 2)" in refused(step)


def test_a_kernel_that_is_left_out_is_refused():
    calls: list[None] = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        calls.append(None)
        return (x + 1 if len(calls) > 1 else (x + 1) * 2,)

    assert "then nothing more" in refused(step)


def test_a_type_that_changes_is_refused():
    types = iter([torch.float16, torch.float64])
    assert "different values: torch.float16, then torch.float64" in refused(lambda x: (x.to(next(types)) + 1,))


def test_a_tensor_that_is_made_anew_before_each_step_is_refused():
    replayed = Replayed(lambda x: (x + fresh,))
    fresh = torch.ones(1)
    replayed(torch.zeros(1))
    kept, fresh = fresh, torch.full((1,), 2.0)
    with pytest.raises(UserError, match=r"a tensor of shape \[1\] was made before the step"):
        replayed(torch.zeros(1))
    assert kept.item() == 1.0


def test_a_change_that_comes_later_is_found(monkeypatch):
    monkeypatch.setattr(replay, "_AGAIN", 4)
    factors = {"now": 2.0}
    replayed = Replayed(lambda x: (x * factors["now"],))
    for _ in range(9):
        assert replayed(torch.ones(1))[0].item() == 2.0
    factors["now"] = 3.0
    with pytest.raises(UserError, match="different kernels"):
        for _ in range(4):
            replayed(torch.ones(1))


def test_after_a_refusal_nothing_is_recorded_any_more():
    refused(lambda x: (x * x.item(),))
    with_graph = torch.ones(1, requires_grad=True)
    ours = copy.deepcopy(with_graph)
    as_one(lambda tensor: tensor.detach().add_(1), [ours])
    assert ours.item() == 2.0
