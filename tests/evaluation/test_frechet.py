"""The Fréchet distance against independent implementations, closed forms and bad input."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from reprogan.errors import UserError
from reprogan.evaluation.frechet import Moments, frechet_distance, moments


def features(count: int, dimensions: int, seed: int, dead: int = 0) -> Tensor:
    """Correlated ReLU features, float32, of which the first `dead` are always 0."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(99))
    found = (torch.randn(count, dimensions, generator=generator) @ mixing + 0.1 * seed).relu()
    found[:, :dead] = 0
    return found


def distance_by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as published, by scipy."""
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(scipy.linalg.sqrtm(covariance_a @ covariance_b))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariance_a + covariance_b - 2 * root))


def distance_by_singular_values(a: np.ndarray, b: np.ndarray) -> float:
    """Without a square root of a covariance: tr (Σa Σb)^½ is the sum of the singular values of Ra Rbᵀ (QR)."""
    a_centred, b_centred = a - a.mean(0), b - b.mean(0)
    r_a, r_b = np.linalg.qr(a_centred, mode="r"), np.linalg.qr(b_centred, mode="r")
    scale = np.sqrt((len(a) - 1) * (len(b) - 1))
    trace_of_root = np.linalg.svd(r_a @ r_b.T, compute_uv=False).sum() / scale
    traces = (a_centred**2).sum() / (len(a) - 1) + (b_centred**2).sum() / (len(b) - 1)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * trace_of_root)


class Identity(nn.Module):
    """A feature extractor for torchmetrics whose images are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_agrees_with_scipy() -> None:
    a, b = features(900, 40, 1), features(700, 40, 2)
    expected = distance_by_sqrtm(a.double().numpy(), b.double().numpy())
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dead", [0, 9])
def test_agrees_with_torchmetrics(dead: int) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    a, b = features(900, 40, 1, dead), features(700, 40, 2, dead)
    metric = FrechetInceptionDistance(feature=Identity(40), normalize=True).set_dtype(torch.float64)
    metric.update(a.double(), real=True)
    metric.update(b.double(), real=False)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(float(metric.compute()), rel=1e-6)


@pytest.mark.parametrize(
    ("count", "dead"), [(900, 9), (30, 0), (2, 39)], ids=["dead", "fewer images than dimensions", "2"]
)
def test_holds_for_singular_covariances(count: int, dead: int) -> None:
    a, b = features(count, 40, 1, dead), features(count, 40, 2, dead)
    expected = distance_by_singular_values(a.double().numpy(), b.double().numpy())
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-6)


def test_equal_sets_have_distance_0() -> None:
    a = moments(features(500, 40, 1, dead=5))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * a.trace)


def test_known_gaussians() -> None:
    """Diagonal covariances: |μ difference|² plus the squared differences of the standard deviations."""
    a = Moments(torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([4.0, 9.0])).double(), 100)
    b = Moments(torch.tensor([0.0, 4.0]).double(), torch.diag(torch.tensor([1.0, 25.0])).double(), 100)
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2, rel=1e-12)


def test_is_symmetric_and_invariant_to_rotation() -> None:
    a, b = features(300, 20, 1).double(), features(300, 20, 2).double()
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(1)).double()).Q
    forth = frechet_distance(moments(a), moments(b))
    assert frechet_distance(moments(b), moments(a)) == pytest.approx(forth, rel=1e-9)
    assert frechet_distance(moments(a @ turn), moments(b @ turn)) == pytest.approx(forth, rel=1e-9)


def test_covariance_is_unbiased() -> None:
    found = moments(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    assert found.covariance.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert (found.mean.tolist(), found.trace, found.count) == ([1.0, 1.0], 2.0, 2)


def test_one_image_is_too_few() -> None:
    with pytest.raises(UserError, match=r"^samples\.h5: 1 images; expected 2 or more"):
        moments(torch.ones(1, 3), "samples.h5")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_must_be_finite(value: float) -> None:
    with pytest.raises(UserError, match="not finite"):
        moments(torch.tensor([[1.0, 2.0], [value, 2.0]]))


def test_other_extractors_do_not_mix() -> None:
    with pytest.raises(UserError, match="3 features against 4"):
        frechet_distance(moments(torch.rand(5, 3)), moments(torch.rand(5, 4)))
