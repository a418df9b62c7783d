"""The scores of one set of features against torch-fidelity 0.4.0, an independent program, on the same features.

It takes images alone, so that each image here says which row of the features it stands for.
"""

from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from reprogan.evaluation.extractors import Extracted
from reprogan.evaluation.neighbours import NEIGHBOURS, on_sphere
from reprogan.evaluation.quality import quality, real_side

COUNT, DIMENSIONS, CLASSES = 600, 24, ("0", "1", "2", "3")


def extracted(seed: int, shift: float) -> Extracted:
    """ReLU features, some of them dead, and answers that lean on the first of them."""
    generator = torch.Generator().manual_seed(seed)
    features = (torch.randn(COUNT, DIMENSIONS, generator=generator) + shift).relu()
    features[:, -2:] = 0
    return Extracted(features, 3 * features[:, :4] + torch.randn(COUNT, 4, generator=generator))


REAL, FAKE = extracted(1, 0.0), extracted(2, 0.2)
VARIANCE = float((REAL.features.double() - REAL.features.double().mean(0)).square().sum() / (COUNT - 1))
ROWS: dict[str, Tensor] = {
    "raw": torch.cat([REAL.features, FAKE.features]).double(),
    "scaled": torch.cat([REAL.features, FAKE.features]).double() / VARIANCE**0.5 * DIMENSIONS**0.5,
    "sphere": torch.cat([on_sphere(REAL.features), on_sphere(FAKE.features)]),
    "logits": torch.cat([REAL.logits, FAKE.logits]).double(),
}


class Numbers(Dataset):
    """Images uint8 (3, 8, 8) whose first two pixels are the number of a row."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Tensor:
        image = torch.zeros(3, 8, 8, dtype=torch.uint8)
        image[0, 0, 0], image[0, 0, 1] = divmod(self.first + index, 256)
        return image


class Rows(FeatureExtractorBase):
    """Looks the features of an image up."""

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        numbers = images[:, 0, 0, 0].long() * 256 + images[:, 0, 0, 1].long()
        return tuple(ROWS[name][numbers] for name in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return tuple(ROWS)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": "logits", "fid": "raw", "kid": "scaled", "prc": "sphere"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros((1, 3, 8, 8), dtype=torch.uint8)


@pytest.fixture(scope="module")
def theirs() -> dict[str, float]:
    """Kernel subsets are the whole sets, so that no choice of subsets comes between; samples come second in `prc`."""
    torch_fidelity.register_feature_extractor("rows", Rows)
    return torch_fidelity.calculate_metrics(
        input1=Numbers(COUNT), input2=Numbers(0), feature_extractor="rows", isc=True, fid=True, kid=True, prc=True,
        isc_splits=1, kid_subsets=1, kid_subset_size=COUNT, prc_neighborhood=NEIGHBOURS, cuda=False, cache=False,
        verbose=False, save_cpu_ram=True, batch_size=50,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return quality(FAKE, real_side(REAL, "real", CLASSES), 1, "fake")


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("frechet_distance", "frechet_inception_distance"),
        ("kernel_distance", "kernel_inception_distance_mean"),
        ("inception_score", "inception_score_mean"),
    ],
)
def test_scores_agree_to_a_ten_thousandth(ours, theirs, own, other):
    assert ours[own] == pytest.approx(theirs[other], rel=1e-4)
    assert abs(ours[own]) > 1e-3


@pytest.mark.parametrize("name", ["precision", "recall"])
def test_counts_are_equal(ours, theirs, name):
    assert ours[name] * COUNT == round(theirs[name] * COUNT)
    assert 0.1 < ours[name] < 1


def test_the_features_are_not_trivial():
    assert np.unique(FAKE.features.numpy(), axis=0).shape == (COUNT, DIMENSIONS)
