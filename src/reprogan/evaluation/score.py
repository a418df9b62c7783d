"""The scores of one variant, from its samples or its answers: a plain dict, written as `metrics/<variant>.json`."""

import json
import math
from pathlib import Path
from typing import Any

import torch

from reprogan.atomic import write_atomically
from reprogan.config import ENCODERS, Evaluation, Variant, View
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.attributes import option_shares, read_options, shares_apart
from reprogan.evaluation.extractors import blocks_of, extract, load_extractor
from reprogan.evaluation.frechet import frechet_distance, moments
from reprogan.evaluation.inception import class_shares, entropy, inception_score
from reprogan.evaluation.inputs import ALL, at_size, chosen, data_of, open_samples, there_and_back, warn_of_few
from reprogan.evaluation.modes import score_points, score_stacked
from reprogan.evaluation.reconstruction import reconstruction_scores
from reprogan.evaluation.text import score_captions, text_scores
from reprogan.evaluation.translation import translation_scores


def score_variant(name: str, variant: Variant, evaluation: Evaluation, root: Path) -> dict[str, Any]:
    """The scores of one variant from the files that the stages before left below `root`, as its data asks for them."""
    data = root / "data/processed" / f"{variant.data}.h5"
    samples, extractor = root / "samples" / name / "samples.h5", root / "models" / variant.extractor
    if variant.system == "contrastive":
        return score_captions(root / "models" / name, data, samples, evaluation)
    if variant.system in ENCODERS:
        return score_extractor(root / "models" / name, data, samples, evaluation)
    if variant.data == "ring":
        return score_points(samples, data, evaluation)
    if variant.data == "stacked":
        return score_stacked(samples, data, extractor, evaluation)
    return score_generator(samples, data, extractor, evaluation, variant.view)


def score_generator(
    samples_path: Path, data_path: Path, extractor_folder: Path, evaluation: Evaluation, view: View = ALL
) -> dict[str, Any]:
    """Score generated images against the held-out ones of the prepared data, in the features of a classifier.

    `count` images on each side, or as many as there are. Beside the distance stands its floor: that of as many
    real training images against the same held-out ones. Entropies are in nats, distances in squared units of the
    features. Enlarged images are reduced to the data's size by the mean of areas, smaller ones enlarged; `view` names
    the classes that real images are of. Conditional samples add the share whose class is the one asked for; an
    autoencoder's, what `reconstruction_scores` gives, a translator's `translation_scores`, those of captions
    `text_scores`; data with attributes, how far the shares of their options, as the classifier reads them, are from
    those of the real images. Raises UserError if a file is missing, damaged, or of images or classes unlike the
    extractor's.
    """
    extractor = load_extractor(extractor_folder)
    data = data_of(extractor, data_path)
    height, width = data.image_shape[1:]
    real_images, _ = chosen(data_path, "test", evaluation, view)
    floor_images, _ = chosen(data_path, "train", evaluation, view)
    with open_samples(samples_path, data.image_shape, view.size) as samples:
        images = samples["images"]
        n_fake = min(len(floor_images), len(images))  # as many as the floor can have
        fake = extract(extractor, (at_size(block, height, width) for block in blocks_of(images, n_fake)))
        more = reconstruction_scores(samples, data_path, view)
        if "asked_for" in samples:
            asked_for = torch.from_numpy(samples["asked_for"][:n_fake])
            more["conditional_accuracy"] = int((fake.logits.argmax(1) == asked_for).sum()) / n_fake
        if data.source_channels:
            more |= translation_scores(samples, torch.from_numpy(hdf5.read(data_path, "test").images))
        if data.vocabulary:
            more |= text_scores(samples, data_path, extractor, fake.logits, evaluation)
    # Enlarging blurs: real images go the same way there and back, else no generator could reach the floor.
    real_images, floor_images = (there_and_back(some, view.size) for some in (real_images, floor_images[:n_fake]))
    real = extract(extractor, blocks_of(real_images, len(real_images)))
    floor = extract(extractor, blocks_of(floor_images, len(floor_images)))
    real_moments = moments(real.features, f"{data_path}: test")
    if real_moments.trace == 0:
        raise UserError(
            f"{extractor_folder}: the same features for every image; expected a classifier that tells them apart; "
            f"run `dvc repro -f train@{extractor.description.variant}`"
        )
    distance = frechet_distance(real_moments, moments(fake.features, str(samples_path)))
    n_real, dimensions = real.features.shape
    warn_of_few(str(samples_path), n_fake, dimensions)
    warn_of_few(f"{data_path}: test", n_real, dimensions)
    if data.classes:
        shares = class_shares(fake.logits)
        more |= {
            "inception_score": inception_score(fake.logits),
            "inception_score_real": inception_score(real.logits),
            "class_entropy": entropy(shares),
            "class_entropy_max": math.log(len(shares)),
            "class_shares": dict(zip(data.classes, shares, strict=True)),
        }
    elif extractor.description.classes:  # these are options of attributes
        of_fake, of_floor, of_real = (
            option_shares(read_options(some.logits, data.attributes), data.attributes) for some in (fake, floor, real)
        )
        more |= {
            "attribute_distance": shares_apart(of_fake, of_real),
            "attribute_distance_floor": shares_apart(of_floor, of_real),
            "attribute_shares": of_fake,
        }
    return more | {
        "frechet_distance": distance,
        "frechet_floor": frechet_distance(real_moments, moments(floor.features, f"{data_path}: train")),
        "frechet_relative": distance / real_moments.trace,
        "n_real": n_real,
        "n_fake": n_fake,
        "extractor": extractor.description.variant,
        "extractor_sha256": extractor.sha256,
        "feature_dimensions": dimensions,
        "data": data.name,
    }


def score_extractor(model: Path, data: Path, samples: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score a classifier by its answers; an encoder, with its decoder, by what it makes of held-out images."""
    extractor = load_extractor(model)
    if extractor.description.classes:
        return score_classifier(model, data, evaluation)
    description = data_of(extractor, data)
    with open_samples(samples, description.image_shape) as file:
        scores = reconstruction_scores(file, data, ALL)
        count = len(file["held_out/reconstructions"])
    return scores | {"n_real": count} | {"data": description.name, "weights_sha256": extractor.sha256}


def score_classifier(model_folder: Path, data_path: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score a classifier on the held-out images: `count` of them, or as many as there are.

    Accuracies are shares in [0, 1]; a class with no held-out image is left out of `per_class_accuracy`. The
    negative log-likelihood is the mean over the images, in nats. A classifier of attributes has the accuracy of each,
    and the mean of these. Raises UserError as `score_generator` does.
    """
    classifier = load_extractor(model_folder)
    data = data_of(classifier, data_path)
    images, labels = chosen(data_path, "test", evaluation)
    logits = extract(classifier, blocks_of(images, len(images))).logits
    known = {"n_real": len(images), "data": data.name, "weights_sha256": classifier.sha256}
    if not data.classes:
        first = torch.tensor([0, *(len(options) for options in data.attributes.values())][:-1]).cumsum(0)
        right = (read_options(logits, data.attributes) + first == labels).to(torch.float64)
        per_attribute = dict(zip(data.attributes, right.mean(0).tolist(), strict=True))
        return known | {"accuracy": float(right.mean()), "per_attribute_accuracy": per_attribute}
    right = logits.argmax(1) == labels
    log_likelihood = torch.log_softmax(logits.to(torch.float64), 1).gather(1, labels[:, None])
    per_class = {}
    for index, name in enumerate(data.classes):
        of_class = right[labels == index]
        if len(of_class):
            per_class[name] = int(of_class.sum()) / len(of_class)
    return known | {
        "accuracy": int(right.sum()) / len(right),
        "negative_log_likelihood": -float(log_likelihood.mean()),
        "per_class_accuracy": per_class,
    }


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write scores as JSON: sorted keys, floats to 6 significant digits. Raises ValueError for one not finite."""
    write_atomically(path, json.dumps(_rounded(metrics), sort_keys=True, indent=2, allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
