"""Modes counted on samples whose modes are known, against scipy and by hand."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import entropy
from torch import Tensor, nn

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation import inputs, modes
from reprogan.evaluation.extractors import ByChannel, Extractor, blocks_of, extract
from reprogan.evaluation.modes import covered, reverse_kl, score_points
from reprogan.evaluation.reference import write_reference
from reprogan.evaluation.score import score_generator
from reprogan.models import trained

DIGITS = tuple("0123456789")
EVALUATION = Evaluation(seed=1, count=200, seeds=1)


@pytest.mark.parametrize("counts", [[5, 0, 3, 12, 0], [1, 1, 1, 1, 1], [0, 0, 40, 0, 0], [0, 0, 0, 0, 7]])
def test_covered_and_reverse_kl_agree_with_scipy(counts):
    drawn = torch.from_numpy(np.random.default_rng(1).permutation(np.repeat(np.arange(5), counts)))
    assert covered(drawn, 5) == np.count_nonzero(counts)
    assert reverse_kl(drawn, 5) == pytest.approx(entropy(counts, np.ones(5)), abs=1e-12)


class RowReader(nn.Module):
    """Reads a digit off the row that is bright: its ten features are the means of the rows."""

    def features(self, images: Tensor) -> Tensor:
        return images.mean(3).flatten(1)

    class Head(nn.Linear):
        def forward(self, features: Tensor) -> Tensor:
            return 10 * features

    def __init__(self) -> None:
        super().__init__()
        self.head = self.Head(10, 10)


def draw_rows(digits: np.ndarray, seed: int) -> np.ndarray:
    """Digits (N, C) => uint8 (N, C, 10, 4): noise, and the row of each channel's digit brighter."""
    images = np.random.default_rng(seed).integers(0, 90, (*digits.shape, 10, 4))
    images[(*np.indices(digits.shape), digits)] += 120
    return images.astype(np.uint8)


def digits_of(drawn: np.ndarray) -> np.ndarray:
    return np.stack([drawn // 100, drawn // 10 % 10, drawn % 10], 1)


@dataclass(frozen=True)
class Stacked:
    """Where the files of one test lie."""

    data: Path
    samples: Path
    extractor: Path

    def score(self, drawn: np.ndarray, evaluation: Evaluation = EVALUATION) -> dict:
        """The scores of samples of these modes."""
        self.samples.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(self.samples, "w") as file:
            file["images"] = draw_rows(digits_of(drawn), 3)
        reference = self.data.parent / "reference.h5"
        write_reference(None, self.data, self.extractor, evaluation, reference)
        return score_generator(self.samples, self.data, self.extractor, reference, evaluation).scores


def describe_reader(shape: tuple[int, int, int] = (1, 10, 4), classes: tuple[str, ...] = DIGITS) -> trained.Description:
    return trained.Description("reader", "classifier", "rows", {}, shape, classes, "rows", "last", 1)


def take_as_extractor(monkeypatch: pytest.MonkeyPatch, description: trained.Description) -> None:
    monkeypatch.setattr(inputs, "load_extractor", lambda folder: Extractor(RowReader(), description, "f" * 64))


@pytest.fixture
def stacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stacked:
    """Stacked data of 1,500 training images, 200 held-out ones, and a classifier that makes no mistake."""
    splits = {}
    for seed, (split, count) in enumerate((("train", 1500), ("test", 200))):
        labels = np.random.default_rng(seed).integers(0, 1000, count)
        splits[split] = hdf5.Arrays(draw_rows(digits_of(labels), seed + 1), labels)
    classes = tuple(f"{mode:03}" for mode in range(1000))
    hdf5.write(tmp_path / "stacked.h5", name="stacked rows", classes=classes, sources={}, **splits)
    take_as_extractor(monkeypatch, describe_reader())
    return Stacked(tmp_path / "stacked.h5", tmp_path / "samples/stacked_gan/samples.h5", tmp_path / "models/reader")


def test_the_modes_found_are_those_put_in(stacked):
    drawn = np.random.default_rng(5).choice([7, 70, 700, 123, 321, 999], 600, p=[0.3, 0.1, 0.2, 0.2, 0.1, 0.1])
    found = stacked.score(drawn)
    assert (found["modes_covered"], found["modes"], found["n_modes"]) == (6, 1000, 600)
    assert found["reverse_kl"] == pytest.approx(entropy(np.bincount(drawn, minlength=1000), np.ones(1000)))


def test_each_sample_is_read_as_the_class_that_the_data_gives_it():
    drawn = np.arange(1000)
    images = torch.from_numpy(draw_rows(digits_of(drawn), 1))
    extractor = Extractor(RowReader(), describe_reader(), "")
    logits = extract(replace(extractor, network=ByChannel(extractor.network)), blocks_of(images)).logits
    assert modes._modes(logits, 10).tolist() == drawn.tolist()


def test_one_mode_is_the_logarithm_of_a_thousand_from_an_even_share(stacked):
    found = stacked.score(np.full(300, 705))
    assert found["modes_covered"] == 1 and found["reverse_kl"] == pytest.approx(math.log(1000))


def test_all_modes_alike(stacked):
    found = stacked.score(np.arange(1000))
    assert found["modes_covered"] == 1000 and found["reverse_kl"] == pytest.approx(0, abs=1e-9)


def test_one_colour_that_never_changes_leaves_a_hundred_modes(stacked):
    drawn = np.arange(1000)
    found = stacked.score(drawn - drawn // 10 % 10 * 10)
    assert found["modes_covered"] == 100 and found["reverse_kl"] == pytest.approx(math.log(10))


def test_real_modes_are_of_as_many_training_images_as_there_are_samples(stacked):
    labels = hdf5.read(stacked.data, "train").labels
    found = stacked.score(np.arange(1500) % 1000)
    assert found["modes_covered_real"] == len(np.unique(labels))
    assert found["reverse_kl_real"] == pytest.approx(entropy(np.bincount(labels, minlength=1000), np.ones(1000)))
    assert 150 < stacked.score(np.arange(200))["modes_covered_real"] <= 200


def features(images: np.ndarray) -> np.ndarray:
    """Features of the three channels side by side, float64 (N, 30)."""
    return (images.astype(np.float64) / 127.5 - 1).mean(3).reshape(len(images), -1)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    a, b = np.cov(first.T), np.cov(second.T)
    return float(((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real))


def test_the_frechet_distance_is_in_the_features_of_all_channels(stacked, capsys):
    found = stacked.score(np.arange(1000), Evaluation(seed=1, count=1500, seeds=1))
    real = features(hdf5.read(stacked.data, "test").images)
    with h5py.File(stacked.samples) as file:
        assert found["frechet_distance"] == pytest.approx(distance(real, features(file["images"][()])), rel=1e-3)
    assert found["frechet_relative"] == pytest.approx(found["frechet_distance"] / np.trace(np.cov(real.T)), rel=1e-4)
    assert (found["n_real"], found["n_fake"], found["feature_dimensions"]) == (200, 1000, 30)
    assert (found["extractor"], found["extractor_sha256"]) == ("reader", "f" * 64)
    (line,) = capsys.readouterr().err.splitlines()  # the samples are enough
    assert "stacked.h5: test: 200 images for 30 feature dimensions; expected 300" in line
    floor = stacked.score(np.arange(1500) % 1000, Evaluation(seed=1, count=1500, seeds=1))["floors"]["frechet_distance"]
    assert floor == pytest.approx(distance(real, features(hdf5.read(stacked.data, "train").images)), rel=1e-3)


def test_few_samples_are_warned_of(stacked, capsys):
    stacked.score(np.arange(250))
    line, _ = capsys.readouterr().err.splitlines()
    assert "samples.h5: 200 images for 30 feature dimensions; expected 300" in line


@pytest.mark.parametrize(
    "description",
    [describe_reader((3, 10, 4)), describe_reader((1, 12, 12)), describe_reader(classes=tuple("01234"))],
    ids=["channels", "size", "classes"],
)
def test_a_classifier_that_cannot_read_a_channel(stacked, monkeypatch, description):
    take_as_extractor(monkeypatch, description)
    with pytest.raises(UserError, match=r"^models/reader: its (data set|image shape|answers): .*; expected .*$"):
        stacked.score(np.arange(200))


MIDDLE = np.array([5.0, -3.0])
STD = 0.05


def on_ring(labels: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
    """Points float32 (N, 2, 1, 1) at the centres of a ring of eight about MIDDLE, moved by `offsets` (N, 2)."""
    angles = 2 * math.pi * labels / 8
    places = MIDDLE + np.stack([np.cos(angles), np.sin(angles)], 1) + (0 if offsets is None else offsets)
    return places.astype(np.float32).reshape(-1, 2, 1, 1)


@dataclass(frozen=True)
class RingFiles:
    """Where the files of one test lie."""

    data: Path
    samples: Path

    def score(self, points: np.ndarray) -> dict:
        """The scores of these points."""
        self.samples.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(self.samples, "w") as file:
            file["images"] = points
        return score_points(self.samples, self.data, Evaluation(seed=1, count=4000, seeds=1))


@pytest.fixture
def ring(tmp_path: Path) -> RingFiles:
    """Eight Gaussians that lie elsewhere and are wider than those of params.yaml."""
    splits = {}
    for seed, split in enumerate(hdf5.SPLITS):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 8, 4000)
        splits[split] = hdf5.Arrays(on_ring(labels, STD * random.normal(size=(4000, 2))), labels)
    hdf5.write(tmp_path / "ring.h5", name="a ring", classes=tuple("01234567"), sources={}, **splits)
    return RingFiles(tmp_path / "ring.h5", tmp_path / "samples/ring_gan/samples.h5")


def test_points_at_every_centre(ring):
    found = ring.score(on_ring(np.arange(800) % 8))
    assert (found["modes_covered"], found["modes"], found["n_modes"]) == (8, 8, 800)
    assert found["reverse_kl"] == pytest.approx(0, abs=1e-12) and found["high_quality_share"] == 1


def test_the_held_out_points_stand_beside_them(ring):
    found = ring.score(on_ring(np.arange(800) % 8))
    labels = hdf5.read(ring.data, "test").labels
    assert (found["modes_covered_real"], found["n_real"], found["data"]) == (8, 4000, "a ring")
    assert found["reverse_kl_real"] == pytest.approx(entropy(np.bincount(labels), np.ones(8)), rel=1e-6)
    within = 1 - math.exp(-9 / 2)  # three deviations in the plane (Rayleigh)
    assert abs(found["high_quality_share_real"] - within) < 5 * math.sqrt(within * (1 - within) / 4000)


def test_half_of_the_modes(ring):
    labels = np.repeat([0, 3, 4, 6], [100, 100, 100, 500])
    found = ring.score(on_ring(labels))
    assert found["modes_covered"] == 4 and found["high_quality_share"] == 1
    assert found["reverse_kl"] == pytest.approx(entropy([100, 100, 100, 500], [200] * 4) + math.log(2))


def test_one_mode(ring):
    found = ring.score(on_ring(np.full(100, 5)))
    assert found["modes_covered"] == 1 and found["reverse_kl"] == pytest.approx(math.log(8))


@pytest.mark.parametrize(("points", "modes_covered"), [(9, 7), (10, 8)])
def test_a_mode_is_covered_from_a_tenth_of_an_even_share_on(ring, points, modes_covered):
    labels = np.concatenate([np.full(points, 7), np.arange(800 - points) % 7])
    assert ring.score(on_ring(labels))["modes_covered"] == modes_covered


def test_good_points_lie_within_three_deviations_of_the_data(ring):
    turn = np.random.default_rng(1).uniform(0, 2 * math.pi, 800)
    away = STD * np.where(np.arange(800) % 4 == 0, 3.3, 2.7)  # a quarter too far
    found = ring.score(on_ring(np.arange(800) // 4 % 8, away[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)))
    assert found["high_quality_share"] == 0.75 and found["modes_covered"] == 8


def test_points_off_the_ring_cover_nothing(ring):
    between = on_ring(np.arange(800) % 8 + 0.5)
    found = ring.score(between)
    assert found["high_quality_share"] == 0 and found["modes_covered"] == 0
    labels = np.arange(800) % 8
    labels_of_good = labels[labels < 4]
    found = ring.score(np.concatenate([on_ring(labels_of_good), between[:100]]))
    assert found["high_quality_share"] == 0.8 and found["modes_covered"] == 4


def test_points_must_be_float32_points(ring):
    with pytest.raises(UserError, match=r"images are uint8 \(100, 2, 1, 1\); expected float32 \(N, 2, 1, 1\)"):
        ring.score(np.zeros((100, 2, 1, 1), np.uint8))
