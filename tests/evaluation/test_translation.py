"""Scores of translations against scikit-image and numpy."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from skimage.metrics import structural_similarity as similarity_of_skimage

from reprogan.evaluation.translation import structural_similarity, translation_scores


def noise(count: int, seed: int, shape: tuple[int, int, int] = (3, 24, 20)) -> np.ndarray:
    """Images whose neighbouring pixels are alike: uint8 (count, C, H, W)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, shape[0], *(-(-side // 4) for side in shape[1:])))
    fine = coarse.repeat(4, 2).repeat(4, 3)[:, :, : shape[1], : shape[2]]
    return np.clip(fine + np.random.default_rng(seed + 100).integers(-30, 31, fine.shape), 0, 255).astype(np.uint8)


def near(images: np.ndarray, seed: int, by: int = 25) -> np.ndarray:
    shifts = np.random.default_rng(seed).integers(-by, by + 1, images.shape)
    return np.clip(images.astype(np.int64) + shifts, 0, 255).astype(np.uint8)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Of two images uint8 (C, H, W), with the window of Wang et al. 2004."""
    return float(
        similarity_of_skimage(
            one / 255,
            other / 255,
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        yield file


def fill(samples: h5py.File, images: np.ndarray, again: np.ndarray | None = None) -> h5py.File:
    samples["images"] = images
    samples["again"] = images[None, :1].repeat(2, 0) if again is None else again
    return samples


@pytest.mark.parametrize("shape", [(3, 24, 20), (1, 11, 11), (3, 40, 12)])
def test_structural_similarity_against_scikit_image(shape):
    one = noise(6, 1, shape)
    other = np.concatenate([near(one[:3], 2), noise(2, 3, shape), 255 - one[5:]])
    found = structural_similarity(torch.from_numpy(one) / 255, torch.from_numpy(other) / 255)
    expected = [similarity(a, b) for a, b in zip(one, other, strict=True)]
    assert found.dtype == torch.float64 and found.tolist() == pytest.approx(expected, abs=1e-4)
    assert 0.3 < expected[0] < 0.999 and expected[5] < 0


def test_the_same_image_is_alike_and_black_unlike_white():
    images = torch.from_numpy(noise(3, 1)) / 255
    assert structural_similarity(images, images).tolist() == pytest.approx([1.0] * 3, abs=1e-9)
    black, white = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    assert structural_similarity(black, white).item() == pytest.approx(0.01**2 / (1 + 0.01**2), rel=1e-4)


def test_means_over_images_against_scikit_image_and_numpy(samples):
    """Of more images than one block holds; truths beyond them are not looked at."""
    truths = noise(123, 1)
    made = near(truths[:120], 2)
    made[60:] = near(truths[60:120], 3, by=90)
    found = translation_scores(fill(samples, made), torch.from_numpy(truths))
    pairs = [(m / 255, t / 255) for m, t in zip(made, truths, strict=False)]
    assert len(pairs) == 120
    decibels = [peak_signal_noise_ratio(t, m, data_range=1.0) for m, t in pairs]
    assert found["psnr"] == pytest.approx(np.mean(decibels), rel=1e-9)
    assert found["l1"] == pytest.approx(np.mean([np.abs(m - t).mean() for m, t in pairs]), rel=1e-9)
    similarities = [similarity(m, t) for m, t in zip(made, truths, strict=False)]
    assert found["ssim"] == pytest.approx(np.mean(similarities), abs=1e-5)
    assert list(found) == ["l1", "psnr", "ssim", "noise_spread"]


def test_fewer_truths_than_images(samples):
    truths = noise(4, 1)
    made = near(noise(9, 1), 2)
    found = translation_scores(fill(samples, made), torch.from_numpy(truths))
    assert found["l1"] == pytest.approx(np.abs(made[:4] / 255 - truths / 255).mean(), rel=1e-9)


def test_equal_images(samples):
    truths = noise(60, 1)
    found = translation_scores(fill(samples, truths), torch.from_numpy(truths))
    assert found == {"l1": 0.0, "psnr": 100.0, "ssim": pytest.approx(1.0, abs=1e-9), "noise_spread": 0.0}


def test_black_for_white(samples):
    white = np.full((3, 1, 16, 16), 255, np.uint8)
    found = translation_scores(fill(samples, np.zeros_like(white)), torch.from_numpy(white))
    assert found["l1"] == 1 and found["psnr"] == 0 and found["ssim"] == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize("draws", [2, 5])
def test_the_spread_is_a_pixels_standard_deviation_over_the_draws(samples, draws):
    images, again = noise(4, 1), np.stack([noise(3, 10 + draw) for draw in range(draws)])
    found = translation_scores(fill(samples, images, again), torch.from_numpy(images))
    assert found["noise_spread"] == pytest.approx((again / 255).std(0).mean(), rel=1e-9)
