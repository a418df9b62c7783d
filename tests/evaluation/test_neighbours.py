"""Precision, recall, density and coverage against an independent implementation, and where the truth is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from reprogan.errors import UserError
from reprogan.evaluation import neighbours
from reprogan.evaluation.neighbours import balls, nearest, on_sphere, precision_and_coverage


def features(count: int, dimensions: int = 24, seed: int = 1, shift: float = 0.0) -> Tensor:
    """ReLU features, float32, with dead ones among them."""
    generator = torch.Generator().manual_seed(seed)
    found = (torch.randn(count, dimensions, generator=generator) + shift).relu()
    found[:, :3] = 0
    return found


def shares(real: Tensor, fake: Tensor) -> dict[str, float]:
    return precision_and_coverage(balls(real), balls(fake))


@pytest.fixture(params=[1000, 7])
def blocks(request, monkeypatch) -> None:
    """All at once, and a few at a time."""
    monkeypatch.setattr(neighbours, "_POINTS", request.param)
    monkeypatch.setattr(neighbours, "_OTHERS", request.param)


@pytest.mark.parametrize(("real", "fake", "shift"), [(700, 500, 0.0), (500, 700, 0.3), (400, 400, 1.0)])
def test_the_counts_are_those_of_prdc(blocks, real, fake, shift):
    """prdc 0.2, by the authors of density and coverage (on scikit-learn's distances)."""
    from prdc import compute_prdc

    a, b = on_sphere(features(real)), on_sphere(features(fake, seed=2, shift=shift))
    expected = compute_prdc(real_features=a.numpy(), fake_features=b.numpy(), nearest_k=5)
    assert shares(a, b) == pytest.approx(expected, abs=1e-12)


def test_radii_and_spread_against_loops(blocks):
    points = features(60)
    found = balls(points, k=4)
    unit = [row / np.linalg.norm(row) for row in points.double().numpy()]
    distances = np.array([[np.linalg.norm(a - b) for b in unit] for a in unit])
    expected = [sorted(np.delete(row, i))[3] for i, row in enumerate(distances)]
    np.testing.assert_allclose(found.radii.sqrt(), expected, rtol=1e-9)
    assert found.diversity == pytest.approx(distances.sum() / (60 * 59), rel=1e-5)


def test_the_nearest_against_loops(blocks):
    points, others = on_sphere(features(50)), on_sphere(features(80, seed=2))
    distances, indices = nearest(points, others)
    every = (points[:, None] - others[None]).square().sum(2)
    assert torch.equal(indices, every.argmin(1))
    torch.testing.assert_close(distances, every.amin(1), rtol=1e-9, atol=1e-14)


def test_a_set_against_itself_is_all_there():
    same = features(300)
    found = shares(same, same)
    assert (found["precision"], found["recall"], found["coverage"]) == (1.0, 1.0, 1.0)
    assert found["density"] == 1.0  # each lies in its own ball and, on average, in four others'


def test_two_draws_of_one_kind_cover_each_other():
    found = shares(features(2000), features(2000, seed=2))
    assert found["precision"] > 0.6 and found["recall"] > 0.6
    assert found["density"] == pytest.approx(1.0, abs=0.1)
    assert found["coverage"] == pytest.approx(1 - 0.5**5, abs=0.02)  # Naeem et al. 2020, Lemma 2: 1 − 2⁻ᵏ for many


def test_noise_is_not_precise_however_short_its_features_are():
    """Raw, features that shrink towards zero lie in the balls of real ones: the reason for the sphere."""
    real = features(1000, shift=1.0)
    noise = features(1000, seed=2, shift=-1.0) * 0.05
    assert shares(real, noise)["precision"] < 0.05
    raw = neighbours.Balls(real.double(), torch.cdist(real, real).double().square().sort(1).values[:, 5], 0.0)
    near = neighbours.Balls(noise.double(), torch.zeros(1000).double(), 0.0)
    assert precision_and_coverage(raw, near)["precision"] > 0.5


def test_one_image_again_and_again_recalls_nothing():
    real = features(1000)
    found = shares(real, real[:1].expand(1000, -1))
    assert found["precision"] == 1.0 and found["recall"] == 0.0 and found["coverage"] < 0.02


def test_ten_times_a_tenth_covers_less():
    real, fake = features(2000), features(200, seed=2)
    once, often = shares(real, features(2000, seed=2)), shares(real, fake.repeat(10, 1))
    assert often["coverage"] < 0.6 * once["coverage"]
    assert often["recall"] == 0.0  # a ball of copies is a point


def test_half_the_kinds_are_half_covered():
    kinds = [features(500, seed=seed) + 5 * torch.eye(24)[seed] for seed in range(3, 7)]
    others = [features(500, seed=10 + seed) + 5 * torch.eye(24)[seed] for seed in range(3, 7)]
    whole, half = shares(torch.cat(kinds), torch.cat(others)), shares(torch.cat(kinds), torch.cat(others[:2] * 2))
    assert whole["coverage"] > 0.9 and half["coverage"] == pytest.approx(0.5, abs=0.05)
    assert half["precision"] == pytest.approx(whole["precision"], abs=0.1)


def test_features_of_nothing_stay_nothing():
    assert torch.equal(on_sphere(torch.zeros(2, 3)), torch.zeros(2, 3, dtype=torch.float64))


def test_too_few_are_one_line():
    with pytest.raises(UserError, match=r"^samples\.h5: 5 images; expected 6 or more, for 5 neighbours of each$"):
        balls(features(5), "samples.h5")


def test_the_same_bytes_again():
    real, fake = features(700), features(900, seed=2)
    assert shares(real, fake) == shares(real, fake) and balls(real).diversity == balls(real).diversity
