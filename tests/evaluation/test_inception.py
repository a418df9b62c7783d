"""The inception score against torchmetrics and by hand; class shares and entropy by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from reprogan.evaluation.inception import class_shares, entropy, inception_score


class Identity(nn.Module):
    """A classifier for torchmetrics whose images are logits already."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.inception import InceptionScore

    logits = 3 * torch.randn(700, 10, generator=torch.Generator().manual_seed(1))
    metric = InceptionScore(feature=Identity(), normalize=False, splits=1)
    metric.update(logits)
    assert inception_score(logits) == pytest.approx(float(metric.compute()[0]), rel=1e-5)


def test_by_hand() -> None:
    """Two images, answered (3/4, 1/4) and (1/4, 3/4): the marginal is even, each divergence ln 2 - H(1/4)."""
    logits = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]], dtype=torch.float64)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert inception_score(logits) == pytest.approx(math.exp(divergence), rel=1e-12)


def test_sure_and_even_answers_score_the_number_of_classes() -> None:
    assert inception_score(2000 * torch.eye(10)) == pytest.approx(10, rel=1e-12)


def test_one_answer_for_all_scores_1() -> None:
    assert inception_score(torch.tensor([[2000.0, 0.0, -2000.0]]).repeat(5, 1)) == 1.0


def test_class_shares() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0], [0.0, 3.0, 1.0], [9.0, 1.0, 0.0], [0.0, 5.0, 4.0]])
    assert class_shares(logits) == [0.25, 0.75, 0.0]


def test_entropy() -> None:
    assert entropy([0.25] * 4) == pytest.approx(math.log(4), rel=1e-12)
    assert entropy([0.25, 0.75, 0.0]) == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3), rel=1e-12)
    assert entropy([0.0, 1.0]) == 0.0
