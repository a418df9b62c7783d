"""Replayed steps against the same steps through autograd: equal bits; and what cannot be replayed is refused."""

import copy
import gc
import itertools
import math
import random
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reprogan.config import NO_UPSTREAM, Compute, Variant, load
from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.models.layers import lay_out
from reprogan.systems import compiling, replay, system
from reprogan.systems.adam import Adam
from reprogan.systems.replay import OFF, Replayed, as_one
from reprogan.systems.system import Position
from reprogan.training.device import autocast
from reprogan.training.randomness import Randomness

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
COUNT, STEPS, CLASSES, WORDS = 4, 6, 10, 20
RECORDED = (1, 2, 4)  # of the first six calls


def shape_of(variant: Variant) -> tuple[int, int, int]:
    size = variant.view.size or 28
    shapes = {"ring": (2, 1, 1), "stacked": (3, size, size), "digits": (1, size, size)}
    return shapes.get(variant.data, (3, 128, 128))


def networks_of(variant: Variant) -> dict[str, nn.Module]:
    """Networks for the variant's data, on those of the upstream variant where it has one."""
    before = variant.upstream.model.removeprefix("models/")
    return architecture.build(
        variant.architecture,
        variant.network,
        shape_of(variant),
        CLASSES,
        words=WORDS if variant.data == "captions" else 0,
        source_channels=1 if variant.data in PARAMS.pairs else 0,
        upstream=None if variant.upstream.model == NO_UPSTREAM else networks_of(PARAMS.variant(before)),
    )


def trained(name: str, precision: str) -> tuple[list[Tensor], list[tuple[Tensor, ...]], int]:
    """Weights and statistics, losses, and the calls of one network, after six steps of a variant in params.yaml."""
    variant = PARAMS.variant(name)
    shape = shape_of(variant)
    growth = variant.objective.get("growth")  # 32×32 is half faded in
    first = sum(growth["stable"][:3]) + sum(growth["fade"][:2]) + growth["fade"][2] // 2 if growth else 0
    randomness = Randomness(1, torch.device("cpu"))
    randomness.seed_layers(-1)
    networks = networks_of(variant)
    for network in networks.values():
        lay_out(network, torch.channels_last).train()
    calls: list[None] = []
    next(reversed(networks.values())).register_forward_hook(lambda *_: calls.append(None))
    built = system.build(variant.system, networks, variant.objective, "")
    images = torch.Generator().manual_seed(2)

    def batch() -> Batch:
        labels = torch.arange(COUNT)
        labels = torch.stack((labels, labels + COUNT), 1) if variant.system == "features" else labels
        pixels = (torch.rand(COUNT, *shape, generator=images) * 2 - 1).contiguous(memory_format=torch.channels_last)
        if variant.data == "captions":
            return Batch(pixels, torch.randint(WORDS + 1, (COUNT, 5), generator=images).sort(descending=True).values)
        if variant.data in PARAMS.pairs:
            return Batch(pixels, labels, torch.rand(COUNT, 1, *shape[1:], generator=images) * 2 - 1)
        return Batch(pixels, labels)

    losses = []
    for step in range(STEPS):
        for optimiser in built.optimisers.values():
            optimiser.rate_factor = 1 - step / 10
        randomness.seed_layers(step)
        with autocast(Compute(**PARAMS.compute.model_dump() | {"precision": precision})):
            losses.append(
                built.step(batch, randomness, Position(first + step * COUNT, step / 1_000_000 if first else step / 10))
            )
    state = [value for network in networks.values() for value in network.state_dict().values()]
    return state, losses, len(calls)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", sorted(PARAMS.variants))
def test_every_variant_gives_the_bits_that_it_gives_through_autograd(name, precision, monkeypatch):
    replayed, replayed_losses, calls = trained(name, precision)
    monkeypatch.setenv(OFF, "off")
    stepped, stepped_losses, all_calls = trained(name, precision)
    assert calls * STEPS == all_calls * len(RECORDED)  # the other steps ran no network
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


def test_torchs_functions_have_the_defaults_of_the_kernels_that_they_stand_for():
    """As `binary_cross_entropy_with_logits` has not. Those that are missing here want all their arguments."""
    image, square, vector = torch.randn(2, 4, 4, 4), torch.randn(4, 4), torch.randn(4)
    kernels = torch.ops.aten
    least: dict[torch._ops.OpOverload, tuple[object, ...]] = {
        kernels.add.Tensor: (square, vector),
        kernels.add_.Tensor: (square.clone(), vector),
        kernels.addmm.default: (vector, square, square),
        kernels.as_strided.default: (square[1:], [2], [1]),
        kernels.cat.default: ([square, square],),
        kernels.clone.default: (square.t(),),
        kernels.constant_pad_nd.default: (image, [1, 1]),
        kernels.copy_.default: (square.clone(), vector),
        kernels.empty_like.default: (torch.empty(0, 4),),
        kernels.expand.default: (vector, [3, 4]),
        kernels.mean.default: (image,),
        kernels.mean.dim: (image, [1, 2]),
        kernels.softplus.default: (square,),
        kernels.split_with_sizes.default: (square, [1, 3]),
        kernels.sub.Tensor: (square, vector),
        kernels.sub_.Tensor: (square.clone(), vector),
        kernels.sum.default: (image,),
        kernels.sum.dim_IntList: (image, [0]),
    }
    writers = {kernel: writer for kernel, (writer, where) in compiling._WRITERS.items() if where == "out="}
    functions = writers | compiling._CALLED_FASTER
    tried = {*least, kernels.add.out, getattr(kernels.random_, "from")}  # the first of these as add.Tensor
    for kernel in compiling._CALLED_FASTER:
        assert kernel in tried or not any(a.has_default_value() for a in kernel._schema.arguments), kernel
    for kernel, arguments in least.items():
        ours, theirs = functions[kernel](*arguments), kernel(*arguments)
        for mine, other in zip(*([x] if isinstance(x, Tensor) else x for x in (ours, theirs)), strict=True):
            assert mine.stride() == other.stride() and torch.equal(mine, other), kernel


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
    assert len(calls) == 3 * len(inputs)  # the first, second and fourth of each


def test_what_a_line_makes_is_freed_after_its_last_use_unless_it_is_small():
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
        replayed(torch.ones(1 << 19))
    held_at_the_end.clear()
    assert replayed(torch.ones(1 << 19))[0][0].item() == 4.0
    assert held_at_the_end == [0]


def test_results_are_the_callers_to_keep():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = x * 2
        z = x + y
        return y, z.view(1, 1), z.view(1, 1).t(), y.neg()

    replayed = Replayed(step)
    kept = [replayed(torch.tensor([float(value)])) for value in range(1, 8)]
    for value, (y, z, turned, negative) in enumerate(kept, 1):
        assert [y.item(), z.item(), turned.item(), negative.item()] == [2 * value, 3 * value, 3 * value, -2 * value]


def test_what_is_filled_and_then_changed_is_filled_in_every_step():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        ones, zeros = torch.ones_like(x), torch.zeros_like(x)
        ones.view(1, 1)[0].add_(x)
        as_one(Tensor.add_, [zeros, torch.ones(1)])
        return (ones + zeros + torch.ones_like(x),)

    assert steps(step, 8) == [n + 3.0 for n in range(1, 9)]


def test_a_result_that_is_changed_in_place_begins_anew_in_every_step():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = torch.relu(x)
        y.add_(y.sum(0, keepdim=True))
        return (y * 1,)

    assert steps(step, 8) == [2.0 * n for n in range(1, 9)]


def test_a_recording_lets_go_of_its_inputs():
    replayed, inputs = Replayed(lambda x: (x + 1,)), []
    for _ in range(5):
        x = torch.ones(3)
        inputs.append(weakref.ref(x))
        replayed(x)
        del x
    gc.collect()
    assert all(reference() is None for reference in inputs)


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


def test_what_is_read_back_from_a_tensor_is_refused():
    assert "reads a number back" in refused(lambda x: (x * x.item(),))
    assert "reads a number back" in refused(lambda x: (x if x > 0 else -x,))
    assert "reads a number back" in refused(lambda x: (x if torch.equal(x, x + 1) else -x,))
    assert "aten.nonzero" in refused(lambda x: (x * len((x > 2).nonzero()),))
    assert "aten.index.Tensor" in refused(lambda x: (x[x > 2].sum(),))


def test_an_index_of_whole_numbers_is_not_refused():
    held = torch.arange(10.0)
    assert steps(lambda x: (held[x.long()],)) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_draw_from_a_generator_of_its_own_is_refused():
    source = torch.Generator()
    assert "hand it in" in refused(lambda x: (x + torch.rand(1, generator=source),))


def test_draws_outside_of_torch_are_refused():
    assert "random or numpy" in refused(lambda x: (x * (random.random() < 2),))
    assert "random or numpy" in refused(lambda x: (x * float(np.random.rand() < 2),))


def test_seeding_in_the_step_is_refused():
    def seeded(x: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        return (x + torch.rand(1),)

    assert "generator was seeded" in refused(seeded)
    layer = nn.Sequential(nn.Linear(4, 4), nn.Dropout())

    def checkpointed(x: Tensor) -> tuple[Tensor, ...]:
        loss = checkpoint(layer, x.expand(4, 4), use_reentrant=False).sum()
        return torch.autograd.grad(loss, list(layer.parameters()))

    assert "gradient checkpointing" in refused(checkpointed)


def test_a_number_that_changes_is_refused():
    calls: list[None] = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        calls.append(None)
        return (x * len(calls),)

    assert "different kernels: t1 = aten_mul_Tensor(i0, 3), then t1 = aten_mul_Tensor(i0, 4)" in refused(step)


def test_a_kernel_that_comes_and_goes_is_refused():
    calls: list[None] = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        calls.append(None)
        return (x + 1 if len(calls) % 2 else (x + 1) * 2,)

    assert "different kernels: nothing more, then" in refused(step)


def test_a_type_that_changes_is_refused():
    types = itertools.cycle([torch.float16, torch.float64])
    assert "different values: torch.float16, then torch.float64" in refused(lambda x: (x.to(next(types)) + 1,))


def test_results_that_change_places_are_refused():
    turns = itertools.cycle([1, -1])
    assert "different ones of their tensors" in refused(lambda x: (x + 1, x * 2)[:: next(turns)])


def test_a_tensor_that_is_another_in_each_step_is_refused():
    kept = []

    def step(x: Tensor) -> tuple[Tensor, ...]:
        kept.append(torch.ones(3))  # before the step, as far as the step can tell
        return (x + kept[-1],)

    def outside(x: Tensor) -> tuple[Tensor, ...]:
        return (x + fresh,)

    assert steps(lambda x: (step(x)[0].sum(),))  # made by a kernel in the step
    replayed = Replayed(outside)
    with pytest.raises(UserError, match=r"a tensor of shape \[1\] is another in each step"):
        for _ in range(4):
            fresh = torch.ones(1)
            kept.append(fresh)
            replayed(torch.zeros(1))


def test_other_memory_or_another_shape_for_a_tensor_is_refused():
    weight = torch.ones(1)

    def swapped(x: Tensor) -> tuple[Tensor, ...]:
        weight.data = weight + x
        return (weight * 1,)

    def reshaped(x: Tensor) -> tuple[Tensor, ...]:
        y = x + 1
        z = y.view(1)  # the same tensor under another name
        y.unsqueeze_(1)
        return (z + y.squeeze(1),)

    assert "other memory" in refused(swapped)
    assert "another shape" in refused(reshaped)


def test_another_shape_in_place_is_followed_where_nothing_else_shows_the_tensor():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = x.repeat(3) + 1
        y.unsqueeze_(1)
        y.transpose_(0, 1)
        return (y.squeeze(0)[2] + y.view(3)[0],)

    assert steps(step) == [4.0, 6.0, 8.0, 10.0, 12.0]


def test_a_sparse_tensor_is_refused():
    assert "layout torch.sparse_coo" in refused(lambda x: (x.to_sparse().to_dense(),))


def test_what_is_made_at_first_use_is_not_refused():
    made: dict[str, Tensor] = {}

    def step(x: Tensor) -> tuple[Tensor, ...]:
        if "grid" not in made:
            made["grid"] = torch.arange(3.0).sum()
        return (x + made["grid"],)

    assert steps(step, 8) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]


def test_nan_and_infinity_are_values_like_others():
    assert steps(lambda x: (x.masked_fill(x > 3, math.inf),)) == [1.0, 2.0, 3.0, math.inf, math.inf]
    assert steps(lambda x: (x.masked_fill(x < 0, math.nan),)) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_complex_conjugate_is_not_what_it_is_of():
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0])

    def step(x: Tensor) -> tuple[Tensor, ...]:
        spectrum = torch.fft.fft(weight * x)
        return ((spectrum * spectrum.conj()).real.mean(),)

    assert steps(step) == [step(torch.tensor([float(n)]))[0].item() for n in range(1, 6)]


def test_inputs_that_share_memory_are_not_told_apart_and_so_not_recorded():
    replayed = Replayed(lambda a, b: (a - b,))
    x, y = torch.tensor([3.0]), torch.tensor([1.0])
    for _ in range(4):
        assert replayed(x, x)[0].item() == 0.0
    for _ in range(4):
        assert replayed(x, y)[0].item() == 2.0
    both = torch.arange(6.0)
    for _ in range(4):  # neighbours share nothing
        assert replayed(both[:3], both[3:])[0].tolist() == [-3.0] * 3
    assert replayed(both[:4], both[2:])[0].tolist() == [-2.0] * 4


def test_a_region_without_autocast_stays_without(monkeypatch):
    weight = torch.randn(8, 8)

    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = x @ weight
        with torch.autocast("cpu", enabled=False):
            return ((y.float() @ weight).sum(),)

    x, replayed = torch.randn(8, 8), Replayed(step)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        reduced = [replayed(x)[0].item() for _ in range(6)]
        assert set(reduced) == {step(x)[0].item()}
    whole = [replayed(x)[0].item() for _ in range(6)]
    assert set(whole) == {step(x)[0].item()} != set(reduced)


def test_one_replayed_step_may_call_another():
    rate = {"now": 1.0}
    total = torch.zeros(1)
    inner = Replayed(lambda x: (x * 2,))

    def step(x: Tensor) -> tuple[Tensor, ...]:
        (doubled,) = inner(x)
        as_one(add_scaled, [doubled])
        return (total * 1,)

    def add_scaled(change: Tensor) -> None:
        total.add_(change, alpha=rate["now"])

    outer, expected = Replayed(step), 0.0
    for count in range(1, 10):
        rate["now"] = 1.0 / count
        expected += 2.0 / count
        assert outer(torch.ones(1))[0].item() == pytest.approx(expected)


def test_profiling_a_step_changes_nothing():
    def step(x: Tensor) -> tuple[Tensor, ...]:
        with torch.profiler.record_function("step"):
            return (x * 2,)

    assert steps(step) == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_a_change_that_comes_later_is_found_and_the_old_step_not_run_again(monkeypatch):
    monkeypatch.setattr(replay, "_PERIOD", 5)
    factors = {"now": 2.0}
    replayed = Replayed(lambda x: (x * factors["now"],))
    for _ in range(9):
        assert replayed(torch.ones(1))[0].item() == 2.0
    factors["now"] = 3.0
    with pytest.raises(UserError, match=r"different kernels.* remove \.reprogan/checkpoints"):
        replayed(torch.ones(1))
    with pytest.raises(UserError, match="different kernels"):
        replayed(torch.ones(1))


def test_steps_of_each_kind_are_looked_at_again():
    due = [calls for calls in range(1, 9000) if replay._is_due(calls)]
    assert due == [1, 2, 4, 64, 1024, 3989, 7978]
    seen = []
    replayed = Replayed(lambda x: (seen.append(len(x)), (x + 1,))[1])
    for _ in range(8):
        replayed(torch.ones(1))
        replayed(torch.ones(2))
    assert seen == [1, 2] * 3


def test_after_a_refusal_nothing_is_recorded_any_more():
    refused(lambda x: (x * x.item(),))
    with_graph = torch.ones(1, requires_grad=True)
    ours = copy.deepcopy(with_graph)
    as_one(lambda tensor: tensor.detach().add_(1), [ours])
    assert ours.item() == 2.0
