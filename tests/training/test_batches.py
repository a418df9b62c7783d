"""The stream of training images: every epoch a permutation, any batch drawn again by itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprogan.data import batches, hdf5
from reprogan.data.batches import TrainingImages, to_float, to_uint8
from reprogan.memory import available_memory
from reprogan.training.randomness import Randomness

CPU = torch.device("cpu")
COUNT = 10


def resident() -> TrainingImages:
    """Ten images whose pixels and labels are their number."""
    numbers = torch.arange(COUNT)
    images = numbers.to(torch.uint8).view(COUNT, 1, 1, 1).expand(COUNT, 1, 2, 2).contiguous()
    return TrainingImages(images.numpy(), numbers.numpy(), CPU, Randomness(7, CPU).permutation)


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


STORAGE = {"in one piece": {}, "in pieces": {"chunks": (1, 1, 8, 8)}, "compressed": {"compression": "gzip"}}


def prepared(folder: Path, count: int, storage: str = "in one piece") -> Path:
    """A file of random pairs of images."""
    path, random = folder / "faces.h5", np.random.default_rng(1)
    with hdf5.create(path) as file:
        hdf5.head(file, name="noise", classes=(), sources={})
        for split in hdf5.SPLITS:
            group = file.create_group(split)
            for name, channels in (("images", 3), ("sources", 1)):
                pixels = random.integers(0, 256, (count, channels, 8, 8), np.uint8)
                group.create_dataset(name, data=pixels, **STORAGE[storage])
            group.create_dataset("labels", data=np.zeros(count, np.int64))
    return path


def of(arrays: hdf5.Arrays, layout: torch.memory_format = torch.contiguous_format) -> TrainingImages:
    permutation = Randomness(7, CPU).permutation
    return TrainingImages(arrays.images, arrays.labels, CPU, permutation, None, arrays.sources, layout)


@pytest.mark.parametrize("streamed", [False, True])
def test_batches_lie_as_the_networks_want_them(tmp_path, monkeypatch, streamed):
    path = prepared(tmp_path, 50)
    first = of(hdf5.read(path, "train"))
    if streamed:
        monkeypatch.setenv("REPROGAN_STREAM", "on")
    last = of(hdf5.read(path, "train"), torch.channels_last)
    assert last.is_streamed is streamed
    for position in (0, 6, 47, 48):
        found, expected = last.batch(position, 6), first.batch(position, 6)
        assert found.images.is_contiguous(memory_format=torch.channels_last) and expected.images.is_contiguous()
        assert torch.equal(found.images, expected.images)
        assert found.sources is not None and torch.equal(found.sources, expected.sources)


@pytest.mark.parametrize("storage", ["in one piece", "in pieces", "compressed"])
def test_images_that_stay_in_their_file_give_the_same_batches(tmp_path, monkeypatch, storage):
    """From any position on, over the ends of epochs and of what is read ahead."""
    path = prepared(tmp_path, 50, storage)
    resident = of(hdf5.read(path, "train"))
    monkeypatch.setenv("REPROGAN_STREAM", "on")
    monkeypatch.setattr(batches, "_AHEAD_IN_A_FILE", 20 * 3 * 8 * 8)
    in_file = hdf5.read(path, "train")
    kind = np.memmap if storage == "in one piece" else hdf5.RowsInFile
    assert isinstance(in_file.images, kind) and isinstance(in_file.sources, kind)
    assert len(in_file.images) == 50 and in_file.images.shape == (50, 3, 8, 8)
    assert np.array_equal(in_file.images[3:5], hdf5.read(path, "train", np.array([3, 4])).images)
    streamed = of(in_file)
    assert streamed.is_streamed and not resident.is_streamed
    for position in [*range(0, 160, 6), 12, 97, *range(97, 150, 7)]:
        found, expected = streamed.batch(position, 6), resident.batch(position, 6)
        assert torch.equal(found.images, expected.images) and torch.equal(found.labels, expected.labels)
        assert found.sources is not None and torch.equal(found.sources, expected.sources)
    assert streamed.waited > 0 and resident.waited == 0


def test_images_stay_in_their_file_where_memory_is_short(tmp_path, monkeypatch):
    path = prepared(tmp_path, 50)
    whole = 50 * 4 * 8 * 8
    for there, stays in ((3 * whole, False), (3 * whole - 1, True)):
        monkeypatch.setattr(hdf5, "available_memory", lambda there=there: there)
        assert isinstance(hdf5.read(path, "train").images, np.memmap) is stays
    assert not isinstance(hdf5.read(path, "train", np.arange(3)).images, np.memmap)


def test_how_much_memory_there_is():
    assert 2**26 < available_memory() < 2**50
