"""Reconstruction scores against means by hand and torch's own divergence of normal distributions."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from reprogan.config import View
from reprogan.data import hdf5
from reprogan.data.batches import as_data, to_float
from reprogan.data.view import enlarge
from reprogan.evaluation.inputs import ALL
from reprogan.evaluation.reconstruction import reconstruction_scores


def arrays(count: int, seed: int) -> hdf5.Arrays:
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 6, 6), dtype=np.uint8)
    return hdf5.Arrays(images, np.arange(count, dtype=np.int64) % 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "digits.h5"
    hdf5.write(path, name="noise", classes=("a", "b", "c"), sources={}, train=arrays(9, 1), test=arrays(30, 2))
    return path


@pytest.fixture
def samples(tmp_path: Path):
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        yield file


def mean_square(made: np.ndarray, images: np.ndarray) -> float:
    return float(np.mean([((m / 255 - i / 255) ** 2).mean() for m, i in zip(made, images, strict=True)]))


def test_nothing_held_out_nothing_scored(samples, data):
    samples["images"] = np.zeros((5, 1, 6, 6), np.uint8)
    assert reconstruction_scores(samples, data, ALL) == {}


def test_the_mean_square_error_of_a_pixel(samples, data):
    made = arrays(30, 3).images
    samples["held_out/reconstructions"] = made
    found = reconstruction_scores(samples, data, ALL)
    assert list(found) == ["reconstruction_error"]
    assert found["reconstruction_error"] == pytest.approx(mean_square(made, hdf5.read(data, "test").images), rel=1e-9)


def test_black_for_white_is_1_and_a_copy_0(samples, data):
    images = hdf5.read(data, "test").images
    with h5py.File(data, "r+") as file:
        file["test/images"][...] = (images > 127) * np.uint8(255)
    samples["held_out/reconstructions"] = (images <= 127) * np.uint8(255)
    assert reconstruction_scores(samples, data, ALL)["reconstruction_error"] == 1
    samples["held_out/reconstructions"][...] = (images > 127) * np.uint8(255)
    assert reconstruction_scores(samples, data, ALL)["reconstruction_error"] == 0


def test_a_variational_one_has_the_divergence_of_its_codes_and_the_bound(samples, data):
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(30, 4, generator=generator)
    log_variance = torch.randn(30, 4, generator=generator)
    nats = 100 * torch.rand(30, generator=generator)
    samples["held_out/reconstructions"] = arrays(30, 3).images
    samples["held_out/codes"], samples["held_out/log_variance"] = mean.numpy(), log_variance.numpy()
    samples["held_out/nats"] = nats.numpy()
    found = reconstruction_scores(samples, data, ALL)
    codes = Normal(mean.double(), log_variance.double().exp().sqrt())
    kl = float(kl_divergence(codes, Normal(torch.tensor(0.0).double(), 1.0)).sum(1).mean())
    assert found["kl_nats"] == pytest.approx(kl, rel=1e-9)
    assert found["reconstruction_nats"] == pytest.approx(sum(nats.tolist()) / 30)
    assert found["negative_elbo"] == pytest.approx(sum(nats.tolist()) / 30 + kl)
    assert len(found) == 4


def test_only_the_classes_that_the_variant_sees(samples, data):
    test = hdf5.read(data, "test")
    seen = test.images[np.isin(test.labels, (0, 2))]
    made = arrays(len(seen), 3).images
    samples["held_out/reconstructions"] = made
    found = reconstruction_scores(samples, data, View(size=None, classes=("c", "a"), per_class=None))
    assert found["reconstruction_error"] == pytest.approx(mean_square(made, seen), rel=1e-9)


def test_enlarged_reconstructions_that_are_perfect_have_no_error(samples, data):
    """Enlarging and reducing blurs, and both sides are blurred alike."""
    images = hdf5.read(data, "test").images
    enlarged = as_data(enlarge(to_float(torch.from_numpy(images)), 16))
    samples["held_out/reconstructions"] = enlarged.numpy()
    found = reconstruction_scores(samples, data, View(size=16, classes=None, per_class=None))
    assert found["reconstruction_error"] == 0
    samples["held_out/reconstructions"][...] = 0
    found = reconstruction_scores(samples, data, View(size=16, classes=None, per_class=None))
    blurred = (
        enlarged.to(torch.float64)[:, :, 2:14, 2:14].unflatten(3, (6, 2)).unflatten(2, (6, 2)).mean((3, 5)).round()
    )
    assert found["reconstruction_error"] == pytest.approx(float(blurred.div(255).square().mean()), rel=1e-9)
