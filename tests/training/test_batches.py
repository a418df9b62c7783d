"""The stream of training images: every epoch a permutation, any batch drawn again by itself."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprogan.data.batches import ResidentImages, to_float, to_uint8
from reprogan.training.randomness import Randomness

CPU = torch.device("cpu")
COUNT = 10


def resident() -> ResidentImages:
    """Ten images whose pixels and labels are their number."""
    numbers = torch.arange(COUNT)
    images = numbers.to(torch.uint8).view(COUNT, 1, 1, 1).expand(COUNT, 1, 2, 2).contiguous()
    return ResidentImages(images, numbers, CPU, Randomness(7, CPU).permutation)


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_the_stream_is_the_epochs_permutations_one_after_the_other(size):
    images, permutation = resident(), Randomness(7, CPU).permutation
    expected = torch.cat([permutation(epoch, COUNT) for epoch in range(7)])
    stream = torch.cat([images.batch(position, size).labels for position in range(0, 6 * COUNT, size)])
    assert torch.equal(stream, expected[: len(stream)])
    assert len(stream) >= 6 * COUNT


def test_an_image_goes_with_its_label():
    batch = resident().batch(8, 5)
    assert torch.equal(to_uint8(batch.images)[:, 0, 0, 0].to(torch.int64), batch.labels)
    assert batch.images.dtype == torch.float32 and batch.images.shape == (5, 1, 2, 2)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=6), st.integers(1, COUNT))
def test_any_batch_can_be_drawn_again_in_any_order(positions, size):
    images = resident()
    for position in positions:
        assert torch.equal(images.batch(position, size).labels, resident().batch(position, size).labels)


def test_scaling_there_and_back_keeps_every_value():
    values = torch.arange(256, dtype=torch.uint8)
    scaled = to_float(values)
    assert scaled[0] == -1 and scaled[255] == 1
    assert torch.equal(to_uint8(scaled), values)
    assert to_uint8(torch.tensor([-5.0, 5.0])).tolist() == [0, 255]
