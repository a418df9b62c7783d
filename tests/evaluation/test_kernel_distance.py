"""The kernel distance against an independent implementation, loops, and where the truth is known."""

import pytest
import torch
from torch import Tensor, nn

from reprogan.errors import UserError
from reprogan.evaluation.kernel import kernel_distance


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, 24, generator=generator) + shift).relu()


def chance(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Scaled(nn.Module):
    """A feature extractor for torchmetrics whose images are features, at the scale that ours are brought to."""

    num_features = 24

    def __init__(self, real: Tensor) -> None:
        super().__init__()
        # Its kernel divides x·y by the number of features, ours by the real ones' total variance.
        self.factor = (self.num_features / real.double().var(0).sum()).sqrt()

    def forward(self, images: Tensor) -> Tensor:
        return images.double() * self.factor


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_agrees_with_torchmetrics(shift):
    """torchmetrics 1.9.0, on all images as one subset: which are chosen is each one's own."""
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake = features(300, 1), features(300, 2, shift)
    reference = KernelInceptionDistance(feature=Scaled(real), subsets=1, subset_size=300).set_dtype(torch.float64)
    reference.update(real, real=True)
    reference.update(fake, real=False)
    expected = float(reference.compute()[0])
    assert kernel_distance(real, fake, chance(), size=300) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_against_loops():
    real, fake = features(12, 1).double(), features(9, 2, 0.3).double()
    fake = torch.cat((fake, fake[:3]))  # as many, so that all are one subset
    variance = ((real - real.mean(0)) ** 2).sum() / 11

    def kernel(x: Tensor, y: Tensor) -> float:
        return float(x @ y / variance + 1) ** 3

    def within(some: Tensor) -> float:
        return sum(kernel(x, y) for i, x in enumerate(some) for j, y in enumerate(some) if i != j) / (12 * 11)

    across = sum(kernel(x, y) for x in real for y in fake) / 144
    expected = within(real) + within(fake) - 2 * across
    assert kernel_distance(real, fake, chance()) == pytest.approx(expected, rel=1e-6)


def test_two_draws_of_one_kind_are_about_zero_apart():
    floors = [kernel_distance(features(1500, seed), features(1500, seed + 50), chance(), 500) for seed in range(1, 9)]
    far = kernel_distance(features(1500, 1), features(1500, 2, 0.3), chance(), 500)
    assert min(floors) < 0 < max(floors) and max(map(abs, floors)) < 0.02 * far


def test_scale_does_not_matter():
    real, fake = features(400, 1), features(400, 2, 0.2)
    once, larger = (kernel_distance(by * real, by * fake, chance()) for by in (1.0, 64.0))
    assert larger == pytest.approx(once, rel=1e-6)


def test_subsets_are_drawn_by_the_generator():
    real, fake = features(900, 1), features(900, 2, 0.2)
    assert kernel_distance(real, fake, chance(), 200) == kernel_distance(real, fake, chance(), 200)
    assert kernel_distance(real, fake, chance(), 200) != kernel_distance(real, fake, chance(2), 200)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (torch.ones(5, 3), torch.rand(5, 3), "all real images have the same features"),
        (torch.rand(5, 3), torch.rand(1, 3), "1 images; expected 2 or more"),
    ],
)
def test_what_cannot_be_compared_is_one_line(real, fake, expected):
    with pytest.raises(UserError, match=expected):
        kernel_distance(real, fake, chance())
