"""The scores of one variant, from its samples or its answers: a plain dict, written as `metrics/<variant>.json`."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from reprogan.atomic import write_atomically
from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.extractors import Extractor, blocks_of, extract, load_extractor
from reprogan.evaluation.frechet import frechet_distance, moments
from reprogan.evaluation.inception import class_shares, entropy, inception_score
from reprogan.training.randomness import derive_seed

# Below this many images a dimension, the distance says more about the number of images than about the images.
IMAGES_PER_DIMENSION = 10


def score_generator(
    samples_path: Path, data_path: Path, extractor_folder: Path, evaluation: Evaluation
) -> dict[str, Any]:
    """Score generated images against the held-out ones of the prepared data, in the features of a classifier.

    `count` images on each side, or as many as there are. Beside the distance stands its floor: that of as many
    real training images against the same held-out ones. Entropies are in nats, distances in squared units of the
    features. Raises UserError if a file is missing, damaged, or of images or classes unlike the extractor's.
    """
    extractor = load_extractor(extractor_folder)
    data = _data_of(extractor, data_path)
    with _samples(samples_path, data.image_shape) as samples:
        n_fake = min(evaluation.count, len(samples), data.counts["train"])  # as many as the floor can have
        fake = extract(extractor, blocks_of(samples, n_fake))
    real_images, _ = _chosen(data_path, "test", evaluation.seed, evaluation.count)
    real = extract(extractor, blocks_of(real_images, len(real_images)))
    floor_images, _ = _chosen(data_path, "train", evaluation.seed, n_fake)
    floor = extract(extractor, blocks_of(floor_images, len(floor_images)))
    real_moments = moments(real.features, f"{data_path}: test")
    if real_moments.trace == 0:
        raise UserError(
            f"{extractor_folder}: the same features for every image; expected a classifier that tells them apart; "
            f"run `dvc repro -f train@{extractor.description.variant}`"
        )
    distance = frechet_distance(real_moments, moments(fake.features, str(samples_path)))
    n_real, dimensions = real.features.shape
    _warn_of_few(str(samples_path), n_fake, dimensions)
    _warn_of_few(f"{data_path}: test", n_real, dimensions)
    shares = class_shares(fake.logits)
    return {
        "frechet_distance": distance,
        "frechet_floor": frechet_distance(real_moments, moments(floor.features, f"{data_path}: train")),
        "frechet_relative": distance / real_moments.trace,
        "inception_score": inception_score(fake.logits),
        "inception_score_real": inception_score(real.logits),
        "class_entropy": entropy(shares),
        "class_entropy_max": math.log(len(shares)),
        "class_shares": dict(zip(data.classes, shares, strict=True)),
        "n_real": n_real,
        "n_fake": n_fake,
        "extractor": extractor.description.variant,
        "extractor_sha256": extractor.sha256,
        "feature_dimensions": dimensions,
        "data": data.name,
    }


def score_classifier(model_folder: Path, data_path: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score a classifier on the held-out images: `count` of them, or as many as there are.

    Accuracies are shares in [0, 1]; a class with no held-out image is left out of `per_class_accuracy`. The
    negative log-likelihood is the mean over the images, in nats. Raises UserError as `score_generator` does.
    """
    classifier = load_extractor(model_folder)
    data = _data_of(classifier, data_path)
    images, labels = _chosen(data_path, "test", evaluation.seed, evaluation.count)
    logits = extract(classifier, blocks_of(images, len(images))).logits
    right = logits.argmax(1) == labels
    log_likelihood = torch.log_softmax(logits.to(torch.float64), 1).gather(1, labels[:, None])
    per_class = {}
    for index, name in enumerate(data.classes):
        of_class = right[labels == index]
        if len(of_class):
            per_class[name] = int(of_class.sum()) / len(of_class)
    return {
        "accuracy": int(right.sum()) / len(right),
        "negative_log_likelihood": -float(log_likelihood.mean()),
        "per_class_accuracy": per_class,
        "n_real": len(right),
        "data": data.name,
        "weights_sha256": classifier.sha256,
    }


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write scores as JSON: sorted keys, floats to 6 significant digits. Raises ValueError for one not finite."""
    write_atomically(path, json.dumps(_rounded(metrics), sort_keys=True, indent=2, allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _data_of(extractor: Extractor, data_path: Path) -> hdf5.Description:
    """The description of the prepared data. Raises UserError if the extractor was trained on other data."""
    data, trained = hdf5.describe(data_path), extractor.description
    for what, found, expected in (
        ("data set", trained.data, data.name),
        ("image shape", trained.image_shape, data.image_shape),
        ("classes", trained.classes, data.classes),
    ):
        if found != expected:
            raise UserError(
                f"models/{trained.variant}: its {what}: {found}; expected {expected} as in {data_path}; "
                f"run `dvc repro train@{trained.variant}`"
            )
    return data


@contextmanager
def _samples(path: Path, image_shape: tuple[int, int, int]) -> Iterator[h5py.Dataset]:
    """Open a samples file and yield its images, uint8 (N, *image_shape). Raises UserError if it holds no such thing."""
    again = f"run `dvc repro -f sample@{path.parent.name}`"
    if not path.is_file():
        raise UserError(f"{path}: not there; {again}")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        reason = "truncated" if "truncated" in str(error) else "not an HDF5 file"
        raise UserError(f"{path}: {reason}; expected a samples file; {again}") from None
    with file:
        images = file.get("images")
        if not isinstance(images, h5py.Dataset):
            raise UserError(f"{path}: no dataset `images`; expected a samples file; {again}")
        if images.dtype != "uint8" or images.shape[1:] != image_shape or 0 in images.shape:
            raise UserError(
                f"{path}: images are {images.dtype} {images.shape}; expected uint8 (N, "
                f"{', '.join(map(str, image_shape))}) as in the data; {again}"
            )
        yield images


def _chosen(path: Path, split: hdf5.Split, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """The images and labels that stand for a split: the first `count` of a seeded permutation.

    Never the first of the file: MNIST's halves come from different writers.
    """
    arrays = hdf5.read(path, split)
    generator = torch.Generator().manual_seed(derive_seed(seed, f"evaluation {split}"))
    chosen = torch.randperm(len(arrays.labels), generator=generator)[:count]
    return torch.from_numpy(arrays.images)[chosen], torch.from_numpy(arrays.labels)[chosen]


def _warn_of_few(name: str, count: int, dimensions: int) -> None:
    if count < IMAGES_PER_DIMENSION * dimensions:
        print(
            f"reprogan: {name}: {count} images for {dimensions} feature dimensions; expected "
            f"{IMAGES_PER_DIMENSION * dimensions} or more; the Fréchet distance leans on their number: "
            "compare it only with scores of equal counts",
            file=sys.stderr,
        )
