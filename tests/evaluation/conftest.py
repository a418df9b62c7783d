"""A small prepared data set, a classifier and a samples file, as the stages before `evaluate` leave them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.evaluation.reference import write_reference
from reprogan.models import architecture, trained

CLASSES = ("0", "1", "2")
COUNT = 400


@dataclass(frozen=True)
class Workplace:
    """Paths of one small pipeline, and the evaluation block that takes every image of it."""

    data: Path
    extractor: Path
    samples: Path
    evaluation: Evaluation

    @property
    def reference(self) -> Path:
        return self.data.parent / "data/references/digits.h5"

    def refer(self, evaluation: Evaluation | None = None, size: int | None = None) -> None:
        """Make the reference anew, as the stage does where data, extractor or evaluation have changed."""
        write_reference(size, self.data, self.extractor, evaluation or self.evaluation, self.reference)


def stripes(count: int, seed: int, noise: int) -> hdf5.Arrays:
    """Images with a bright stripe whose row is the class, and noise: uint8 (count, 1, 20, 20)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), count)
    images = generator.integers(0, noise, (count, 1, 20, 20))
    for index, label in enumerate(labels):
        images[index, 0, 4 * label : 4 * label + 3] += 120
    return hdf5.Arrays(images.astype(np.uint8), labels.astype(np.int64))


def write_samples(path: Path, images: np.ndarray) -> None:
    with hdf5.create(path) as file:
        file.attrs["seed"] = 1
        file["images"] = images


def describe_model(
    name: str, system: str, structure: str, network: dict, shape: tuple[int, int, int]
) -> trained.Description:
    return trained.Description(name, system, structure, network, shape, CLASSES, "stripes", "last", 1000)


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    data, samples, extractor = tmp_path / "digits.h5", tmp_path / "samples/dcgan/samples.h5", tmp_path / "models/judge"
    hdf5.write(
        data, name="stripes", classes=CLASSES, sources={}, train=stripes(COUNT, 1, 100), test=stripes(COUNT, 2, 100)
    )
    write_samples(samples, stripes(COUNT, 3, 130).images)
    torch.manual_seed(0)
    networks = architecture.build("cnn_classifier", {}, (1, 20, 20), len(CLASSES))
    with torch.no_grad():  # far enough from uniform that the answers differ
        networks["classifier"].head.weight.mul_(8)
    trained.save(extractor, describe_model("judge", "classifier", "cnn_classifier", {}, (1, 20, 20)), networks)
    made = Workplace(data, extractor, samples, Evaluation(seed=1, count=COUNT, seeds=3))
    made.refer()
    return made
