"""The contrastive objective against loops over a batch, number by number."""

import math

import pytest
import torch
from torch import Tensor

from reprogan.losses import contrastive

COUNT, DIMENSIONS = 5, 3


def features(count: int = COUNT) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    return tuple(2 * torch.randn(count, DIMENSIONS, generator=source, dtype=torch.float64) for _ in range(2))


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def by_loops(images: list[list[float]], captions: list[list[float]], temperature: float) -> float:
    """-log of the share of the own partner, mean over images and over captions, mean of both (CLIP, Figure 3)."""
    total = 0.0
    for of_one, of_other in ((images, captions), (captions, images)):
        for index, one in enumerate(of_one):
            strengths = [math.exp(cosine(one, other) / temperature) for other in of_other]
            total -= math.log(strengths[index] / sum(strengths)) / len(of_one)
    return total / 2


def test_similarities_are_cosines():
    images, captions = features()
    found = contrastive.similarities(images, captions[:2])
    assert found.shape == (COUNT, 2)
    for i, image in enumerate(images.tolist()):
        for j, caption in enumerate(captions[:2].tolist()):
            assert found[i, j].item() == pytest.approx(cosine(image, caption), rel=1e-12)
    torch.testing.assert_close(contrastive.similarities(images, 7 * images).diagonal(), torch.ones(COUNT).double())


@pytest.mark.parametrize("temperature", [0.07, 0.5, 3.0])
def test_the_loss_against_loops(temperature):
    images, captions = features()
    expected = by_loops(images.tolist(), captions.tolist(), temperature)
    assert contrastive.matching_loss(images, captions, temperature).item() == pytest.approx(expected, rel=1e-12)
    assert contrastive.matching_loss(captions, images, temperature).item() == pytest.approx(expected, rel=1e-12)
    assert contrastive.matching_loss(5 * images, captions / 3, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_its_gradient_by_differences():
    images, captions = features()
    images.requires_grad_()
    (slope,) = torch.autograd.grad(contrastive.matching_loss(images, captions, 0.5), images)
    for place in range(images.numel()):
        values = []
        for sign in (1, -1):
            moved = images.detach().clone()
            moved.view(-1)[place] += sign * 1e-6
            values.append(by_loops(moved.tolist(), captions.tolist(), 0.5))
        assert slope.flatten()[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_bounds():
    """Blind features leave a guess among the batch; wholly apart and right, hardly a doubt."""
    alike = torch.ones(COUNT, DIMENSIONS)
    assert contrastive.matching_loss(alike, alike, 0.07).item() == pytest.approx(math.log(COUNT))
    apart = torch.eye(COUNT)
    assert contrastive.matching_loss(apart, apart, 0.07).item() < 1e-5
    assert contrastive.matching_loss(apart, apart.roll(1, 0), 0.07).item() == pytest.approx(1 / 0.07, rel=1e-3)
