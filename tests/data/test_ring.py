"""The ring: points about the centres that a circle has, with the deviation asked for; the same seed the same bytes."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from reprogan.config import Ring
from reprogan.data import hdf5
from reprogan.data.ring import centres, prepare

RING = Ring(seed=1, modes=8, std=0.02, train=4000, test=1000)


def test_centres_lie_on_the_unit_circle_the_first_at_1_0():
    assert centres(4) == [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
    turns = [complex(*centre) for centre in centres(7)]
    for turn, after in pairwise(turns):
        assert after / turn == pytest.approx(np.exp(2j * math.pi / 7), abs=1e-8)


@pytest.mark.parametrize(("modes", "std"), [(8, 0.02), (5, 0.1)])
def test_points_are_normally_distributed_about_the_centre_of_their_label(tmp_path, modes, std):
    found = prepare(RING.model_copy(update={"modes": modes, "std": std}), tmp_path / "ring.h5")
    assert found == hdf5.describe(tmp_path / "ring.h5")
    assert (found.name, found.image_shape, found.points) == (f"ring of {modes}", (2, 1, 1), True)
    assert found.classes == tuple(map(str, range(modes)))
    assert str(found) == f"ring of {modes}, 4,000 train and 1,000 test points, {modes} classes"
    for split, count in (("train", 4000), ("test", 1000)):
        arrays = hdf5.read(tmp_path / "ring.h5", split)
        assert arrays.images.dtype == np.float32 and arrays.images.shape == (count, 2, 1, 1)
        x, y = arrays.images[:, :, 0, 0].astype(np.float64).T
        nearest = np.rint(np.arctan2(y, x) / (2 * math.pi / modes)).astype(int) % modes
        assert (nearest == arrays.labels).mean() > 0.999  # the Gaussians hardly touch
        angles = 2 * math.pi * arrays.labels / modes
        offsets = np.stack([x - np.cos(angles), y - np.sin(angles)]) / std
        assert abs(offsets.mean(1)).max() < 5 / math.sqrt(count)
        for squares in (offsets[0] ** 2, offsets[1] ** 2):  # each sum is chi-square distributed
            assert abs(squares.sum() - count) < 5 * math.sqrt(2 * count)
        assert abs((offsets[0] * offsets[1]).sum()) < 5 * math.sqrt(count)
        shares = np.bincount(arrays.labels, minlength=modes)
        assert abs(shares - count / modes).max() < 5 * math.sqrt(count / modes)


def test_the_same_seed_the_same_bytes_and_another_seed_or_split_others(tmp_path):
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        prepare(RING.model_copy(update={"seed": seed, "train": 1000}), path)
        torch.rand(3)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    drawn = [hdf5.read(path, split) for path in (paths[0], paths[2]) for split in hdf5.SPLITS]
    for one, other in combinations(drawn, 2):
        assert not (one.images == other.images).all((1, 2, 3)).any()
        assert (one.labels == other.labels).mean() < 0.2  # an eighth by chance
