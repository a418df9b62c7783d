"""Stacked digits: each channel is a digit of the image's class, of the right split; the same seed the same bytes."""

from pathlib import Path

import numpy as np
import pytest

from reprogan.config import Stacked
from reprogan.data import hdf5
from reprogan.data.stacked import prepare
from reprogan.errors import UserError

STACKED = Stacked(seed=1, train=400, test=90)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """60 training and 30 held-out digits of noise, no two alike."""
    images = np.random.default_rng(1).integers(0, 256, (90, 1, 6, 5), dtype=np.uint8)
    labels = np.arange(90, dtype=np.int64) * 7 % 10
    train, test = hdf5.Arrays(images[:60], labels[:60]), hdf5.Arrays(images[60:], labels[60:])
    path = tmp_path / "digits.h5"
    hdf5.write(path, name="noise", classes=tuple("0123456789"), sources={"a": "0" * 64}, train=train, test=test)
    return path


def test_every_channel_is_a_digit_of_the_same_split_and_the_class_names_all_three(digits, tmp_path):
    out = tmp_path / "stacked.h5"
    found = prepare(STACKED, digits, out)
    assert found == hdf5.describe(out)
    assert (found.name, found.image_shape, found.sources) == ("stacked noise", (3, 6, 5), {"a": "0" * 64})
    assert found.counts == {"train": 400, "test": 90} and found.classes == tuple(f"{mode:03}" for mode in range(1000))
    for split in hdf5.SPLITS:
        source, stacked = hdf5.read(digits, split), hdf5.read(out, split)
        label_of = {image.tobytes(): int(label) for image, label in zip(source.images, source.labels, strict=True)}
        for image, label in zip(stacked.images, stacked.labels, strict=True):
            red, green, blue = (label_of[channel.tobytes()] for channel in image)
            assert label == 100 * red + 10 * green + blue
            assert found.classes[label] == f"{red}{green}{blue}"


def test_channels_are_drawn_by_themselves_from_all_digits(digits, tmp_path):
    prepare(STACKED, digits, tmp_path / "stacked.h5")
    images = hdf5.read(tmp_path / "stacked.h5", "train").images
    for channel in range(3):
        assert len(np.unique(images[:, channel].reshape(400, -1), axis=0)) > 55  # of 60, in 400 draws
        other = images[:, (channel + 1) % 3]
        assert (images[:, channel] == other).all((1, 2)).sum() < 30  # 400 / 60 by chance
    assert len(np.unique(hdf5.read(tmp_path / "stacked.h5", "train").labels)) > 250


def test_the_same_seed_the_same_bytes_and_another_seed_others(digits, tmp_path):
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        prepare(STACKED.model_copy(update={"seed": seed}), digits, path)
        np.random.rand(3)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for split in hdf5.SPLITS:
        first, other = hdf5.read(paths[0], split), hdf5.read(paths[2], split)
        assert (first.labels != other.labels).mean() > 0.9


def test_digits_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"digits\.h5: no such file; run `dvc repro prepare_digits`"):
        prepare(STACKED, tmp_path / "digits.h5", tmp_path / "stacked.h5")
    assert list(tmp_path.iterdir()) == []
