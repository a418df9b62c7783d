"""Tensors that are moved to one block: the same numbers, the same layouts, one piece of memory."""

import copy

import pytest
import torch
from torch import nn

from reprogan.systems.adam import Adam
from reprogan.systems.one_block import in_memory, is_dense, joined, move_together
from reprogan.training.ema import WeightAverage


def tensors() -> list[torch.Tensor]:
    torch.manual_seed(1)
    last = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    return [torch.randn(3, 5), last, torch.randn(7, 2).t().contiguous().t(), torch.randn(())]


def test_moved_they_hold_what_they_held_where_they_held_it():
    moved, before = tensors(), tensors()
    block = move_together(moved)
    assert block is not None and len(block) == sum(tensor.numel() for tensor in before)
    for now, then in zip(moved, before, strict=True):
        assert torch.equal(now, then) and now.stride() == then.stride()
        assert now.untyped_storage().data_ptr() == block.untyped_storage().data_ptr()
    block.zero_()
    assert not any(tensor.any() for tensor in moved)


def test_what_lies_together_is_found_to():
    moved = tensors()
    block = move_together(moved)
    found = joined(moved)
    assert found is not None and found.data_ptr() == block.data_ptr() and len(found) == len(block)
    assert joined(moved[1:3]) is not None
    assert joined([moved[0], moved[2]]) is None  # with a gap
    assert joined(moved[::-1]) is None and joined(tensors()) is None and joined(moved[:1]) is None


@pytest.mark.parametrize(
    "odd",
    [
        [torch.zeros(3)],
        [torch.zeros(3), torch.zeros(3, dtype=torch.float64)],
        [torch.zeros(3), torch.zeros(8)[::2]],
        [torch.zeros(3), torch.zeros(1 << 18)],
        [torch.zeros(3), torch.zeros(3, device="meta")],
    ],
    ids=["one", "types", "gaps", "many", "devices"],
)
def test_what_cannot_be_moved_or_gains_nothing_stays(odd):
    places = [tensor.data_ptr() for tensor in odd if not tensor.is_meta]
    assert move_together(odd) is None
    assert [tensor.data_ptr() for tensor in odd if not tensor.is_meta] == places


def test_what_lies_in_a_block_stays_there():
    """As where two optimisers share weights: what the first walks through must go on being them."""
    shared = tensors()
    block = move_together(shared)
    assert move_together([*shared, torch.zeros(2)]) is None
    assert joined(shared).data_ptr() == block.data_ptr()


def test_two_optimisers_of_the_same_weights_both_move_them():
    ours, _ = networks()
    first, second = Adam(ours.parameters(), 0.1, (0.0, 0.9)), Adam(ours.parameters(), 0.1, (0.0, 0.9))
    for adam in (first, second, first):
        before = copy.deepcopy(ours.state_dict())
        adam.descend(ours(torch.randn(4, 3, 6, 6)).square().mean())
        assert not any(torch.equal(weight, before[name]) for name, weight in ours.named_parameters())


def test_numbers_that_lie_side_by_side():
    assert all(is_dense(tensor) for tensor in tensors())
    assert not is_dense(torch.zeros(4, 4)[:, :2]) and not is_dense(torch.zeros(3).expand(2, 3))
    x = torch.arange(6.0).view(2, 3).t()
    assert in_memory(x).tolist() == [0, 1, 2, 3, 4, 5]


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    ours = nn.Sequential(
        nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(80, 7)
    )
    ours.to(memory_format=torch.channels_last)
    return ours, copy.deepcopy(ours)


def test_an_optimiser_and_an_average_of_moved_weights_do_as_others():
    """As torch's own of tensors by themselves, to rounding; what a network saves is the network's."""
    ours, theirs = networks()
    adam = Adam(ours.parameters(), 1e-2, (0.5, 0.99))
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(0.5, 0.99))
    average, by_hand = WeightAverage(ours, 100), copy.deepcopy(theirs.state_dict())
    assert joined(list(ours.parameters())) is not None and joined(list(average.network.parameters())) is not None
    for step in range(1, 9):
        images = torch.randn(4, 3, 6, 6)
        adam.descend(ours(images).square().mean())
        reference.zero_grad()
        theirs(images).square().mean().backward()
        reference.step()
        average.update(4 * step, 4)
        kept = 0.5 ** (4 / min(100, step))
        by_hand = {name: kept * by_hand[name] + (1 - kept) * tensor for name, tensor in theirs.state_dict().items()}
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs.state_dict()[name], rtol=1e-4, atol=1e-5)
        if tensor.is_floating_point():
            torch.testing.assert_close(average.network.state_dict()[name], by_hand[name], rtol=1e-4, atol=1e-5)
