"""The scores of one variant: a plain dict, all of it for `scores/<variant>/`, a few for `metrics/<variant>.json`."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from reprogan.atomic import write_atomically
from reprogan.config import ENCODERS, Evaluation, Variant, View
from reprogan.data import hdf5
from reprogan.evaluation.attributes import read_options
from reprogan.evaluation.extractors import Extractor, blocks_of, extract, load_extractor
from reprogan.evaluation.images import ScoredImages, beside_scores, score_images
from reprogan.evaluation.inputs import ALL, at_size, chosen, extractor_for, open_samples, sample_sets
from reprogan.evaluation.modes import score_points
from reprogan.evaluation.reconstruction import reconstruction_scores
from reprogan.evaluation.reference import Reference, load_reference
from reprogan.evaluation.text import score_captions, text_scores
from reprogan.evaluation.translation import translation_scores
from reprogan.sampling.pictures import grid, save_png

# What `dvc metrics diff` shows, rounded: the scores that decisions hang on. All of them are in scores.json.
HEADLINES = (
    "frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage", "diversity",
    "inception_score", "class_entropy", "conditional_accuracy", "memorised_share", "attribute_distance",
    "modes_covered", "reverse_kl", "high_quality_share", "l1", "psnr", "ssim", "retrieval_accuracy", "named_accuracy",
    "reconstruction_error", "negative_elbo", "accuracy", "negative_log_likelihood",
)  # fmt: skip
_COUNTS = ("n_real", "n_fake", "n_train", "feature_dimensions", "dead_features")
_NO_SCORES = ("_real", "_max", "_chance", "_among", "modes")
SCORES = "scores.json"
COPIES = "copies.png"
_MAGNIFIED = 48  # images with longer sides are shown as they are


@dataclass(frozen=True)
class Scored:
    """The scores of one variant and, of a generator of images, its ten samples that are nearest to training images.

    Of these uint8 (2, 10, C, H, W): the samples, the nearest first, and the training images.
    """

    scores: dict[str, Any]
    copies: Tensor | None = None


def score_variant(name: str, variant: Variant, evaluation: Evaluation, root: Path) -> Scored:
    """The scores of one variant from the files that the stages before left below `root`, as its data asks for them.

    Where it is trained from several seeds, `training` has the scores of each; those outside are of the first.
    """
    of_seeds = {
        seed: score_samples(
            root / "models" / name / folder, root / "samples" / name / folder, variant, evaluation, root
        )
        for seed, folder in variant.seed_folders().items()
    }
    first, *others = of_seeds.values()
    if not others:
        return first
    numbers = _numbers([scored.scores for scored in (first, *others)])
    return Scored(first.scores | {"training": {"seeds": list(of_seeds), **numbers}}, first.copies)


def score_samples(model: Path, samples_folder: Path, variant: Variant, evaluation: Evaluation, root: Path) -> Scored:
    """The scores of one model of a variant by what `sample` drew from it, as its data asks for them.

    `root` holds the prepared data, what they are read against and the extractor.
    """
    data, samples = root / "data/processed" / f"{variant.data}.h5", samples_folder / "samples.h5"
    if variant.system == "contrastive":
        return Scored(score_captions(model, data, samples, evaluation))
    if variant.system in ENCODERS:
        return Scored(score_extractor(model, data, samples, evaluation))
    if variant.data == "ring":
        return Scored(score_points(samples, data, evaluation))
    extractor = root / "models" / variant.extractor
    return score_generator(samples, data, extractor, root / variant.reference, evaluation, variant.view)


def score_generator(
    samples_path: Path,
    data_path: Path,
    extractor_folder: Path,
    reference_path: Path,
    evaluation: Evaluation,
    view: View = ALL,
) -> Scored:
    """Score generated images against the held-out ones of the prepared data, in the features of an extractor.

    The scores are those of `quality` and `memorised` for `count` images on each side, or as many as there are; `floors`
    has the same of as many training images, `sets` those of every sample set, the first of which is the one whose
    scores stand outside. Enlarged images are reduced to the data's size by the mean of areas, smaller ones enlarged;
    `view` names the classes that real images are of. Conditional samples add the share whose class is the one asked
    for; stacked digits `stacked_modes`, an autoencoder's what `reconstruction_scores` gives, a translator's
    `translation_scores`, those of captions `text_scores`. Raises UserError if a file is missing, damaged, or of images
    or classes unlike the extractor's.
    """
    extractor, data = extractor_for(extractor_folder, data_path)
    reference = load_reference(reference_path, extractor, data_path, evaluation, view)
    with open_samples(samples_path, data.image_shape, view.size) as file:
        sets = [
            _score_set(group, data_path, data, extractor, reference, evaluation, str(samples_path))
            for group in sample_sets(file)
        ]
        first = sets[0]
        copies = first.copies(reference)
        pairs = copies.closest()
        shown = torch.stack([torch.from_numpy(file["images"][int(first.rows[sample])]) for sample, _ in pairs])
        more = reconstruction_scores(file, data_path, view)
    trained_on = hdf5.read(data_path, "train", reference.train_rows[[image for _, image in pairs]].numpy()).images
    scores = first.scores | more
    scores |= beside_scores(first, copies, extractor, reference, data_path, str(samples_path))
    scores |= {
        "sets": _numbers([one.scores for one in sets]),
        "data": data.name,
        "reference": reference_path.stem,
    }
    if view.classes is not None:
        scores["real_classes"] = list(view.classes)
    return Scored(scores, torch.stack([at_size(shown, *data.image_shape[1:]), torch.from_numpy(trained_on)]))


def _score_set(
    group: h5py.Group,
    data_path: Path,
    data: hdf5.Description,
    extractor: Extractor,
    reference: Reference,
    evaluation: Evaluation,
    name: str,
) -> ScoredImages:
    """Score one sample set, a group of a samples file, as errors call it `name`, with all that its images are told."""
    scored = score_images(group["images"], data, extractor, reference, evaluation, name)
    scores, rows, logits = dict(scored.scores), scored.rows, scored.found.logits
    if "asked_for" in group:
        asked_for = torch.from_numpy(group["asked_for"][()])[rows]
        scores["conditional_accuracy"] = int((logits.argmax(1) == asked_for).sum()) / len(rows)
    if data.source_channels:
        scores |= translation_scores(group, torch.from_numpy(hdf5.read(data_path, "test").images))
    if data.vocabulary:
        scores |= text_scores(group, rows, logits, reference.logits["test"], data_path, evaluation)
    return replace(scored, scores=scores)


def _numbers(all_scores: list[dict[str, Any]]) -> dict[str, list[float]]:
    """{score: its value in each of `all_scores`}, of those that all have and that say something of the samples."""
    return {
        key: [scores[key] for scores in all_scores]
        for key, value in all_scores[0].items()
        if isinstance(value, int | float)
        and not key.endswith(_NO_SCORES)
        and key not in _COUNTS
        and all(key in scores for scores in all_scores)
    }


def score_extractor(model: Path, data: Path, samples: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score a classifier by its answers; an encoder, with its decoder, by what it makes of held-out images."""
    if load_extractor(model).description.classes:
        return score_classifier(model, data, evaluation)
    extractor, description = extractor_for(model, data)
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
    classifier, data = extractor_for(model_folder, data_path)
    images, labels = chosen(data_path, "test", evaluation)
    logits = extract(classifier, blocks_of(images)).logits
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


def write_scored(scored: Scored, metrics: Path, folder: Path) -> None:
    """Write the headlines of the scores to the file `metrics`, all of them and the picture of copies to `folder`."""
    write_json(folder / SCORES, scored.scores)
    if scored.copies is not None:
        samples, images = scored.copies
        save_png(
            grid(torch.cat([samples, images]), len(samples), 1 if images.shape[2] > _MAGNIFIED else 2), folder / COPIES
        )
    write_json(metrics, {key: scored.scores[key] for key in HEADLINES if key in scored.scores}, digits=4)


def write_json(path: Path, values: dict[str, Any], digits: int = 6) -> None:
    """Write JSON: sorted keys, floats to so many significant digits. Raises ValueError for one that is not finite."""
    write_atomically(path, json.dumps(_rounded(values, digits), sort_keys=True, indent=2, allow_nan=False) + "\n")


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner, digits) for inner in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
