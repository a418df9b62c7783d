"""Modes counted: which of the known ways that data can look a generator has found, and how evenly it draws them."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.extractors import Extracted, Extractor, blocks_of, extract, load_extractor
from reprogan.evaluation.frechet import frechet_distance, moments
from reprogan.evaluation.inputs import chosen, open_samples, warn_of_few

_STANDARD_DEVIATIONS = 3  # from a Gaussian's centre, within which a point is a good one
_FAIR = 0.1  # of an even share, from which on a Gaussian counts as covered


def covered(modes: Tensor, count: int) -> int:
    """How many of `count` modes occur among `modes` int64 (N,) at least once."""
    return int((torch.bincount(modes, minlength=count) > 0).sum())


def reverse_kl(modes: Tensor, count: int) -> float:
    """KL(shares of `modes` int64 (N,) ‖ uniform over `count`), in nats: 0 for equal shares, ln count for one mode.

    Source: Lin et al. 2018 (PacGAN), section 4, with the data's shares taken as equal.
    """
    shares = (torch.bincount(modes, minlength=count).to(torch.float64) / len(modes)).tolist()
    return math.fsum(share * math.log(share * count) for share in shares if share > 0)


def score_stacked(
    samples_path: Path, data_path: Path, extractor_folder: Path, evaluation: Evaluation
) -> dict[str, Any]:
    """Score stacked digits: each colour channel is read by a classifier of single digits.

    Modes and the reverse KL are those of all samples, beside them the same of as many real training images. The
    Fréchet distance is in the features of the three channels side by side. Raises UserError as `score_generator`.
    """
    extractor = load_extractor(extractor_folder)
    data = hdf5.describe(data_path)
    channels, height, width = data.image_shape
    digits = len(extractor.description.classes)
    if extractor.description.image_shape != (1, height, width) or digits**channels != len(data.classes):
        raise UserError(
            f"models/{extractor.description.variant}: reads images {extractor.description.image_shape} in {digits} "
            f"classes; expected (1, {height}, {width}), a channel of {data_path}, which has {len(data.classes)}; name "
            "the classifier of the digits that were stacked as the extractor"
        )
    with open_samples(samples_path, data.image_shape) as samples:
        fake = _by_channel(extractor, samples["images"], len(samples["images"]))
    n_fake = len(fake.features)
    real_images, _ = chosen(data_path, "test", evaluation)
    real = _by_channel(extractor, real_images, len(real_images))
    train_images, _ = chosen(data_path, "train", evaluation.model_copy(update={"count": n_fake}))
    train = _by_channel(extractor, train_images, len(train_images))
    distance_count = min(evaluation.count, n_fake, len(train_images))
    real_moments = moments(real.features, f"{data_path}: test")
    distance = frechet_distance(real_moments, moments(fake.features[:distance_count], str(samples_path)))
    dimensions = fake.features.shape[1]
    warn_of_few(str(samples_path), distance_count, dimensions)
    modes, real_modes = _modes(fake.logits, digits), _modes(train.logits, digits)
    count = len(data.classes)
    return {
        "modes_covered": covered(modes, count),
        "modes_covered_real": covered(real_modes, count),
        "modes": count,
        "reverse_kl": reverse_kl(modes, count),
        "reverse_kl_real": reverse_kl(real_modes, count),
        "n_modes": n_fake,
        "frechet_distance": distance,
        "frechet_floor": frechet_distance(
            real_moments, moments(train.features[:distance_count], f"{data_path}: train")
        ),
        "frechet_relative": distance / real_moments.trace,
        "n_real": len(real.features),
        "n_fake": distance_count,
        "extractor": extractor.description.variant,
        "extractor_sha256": extractor.sha256,
        "feature_dimensions": dimensions,
        "data": data.name,
    }


def score_points(samples_path: Path, data_path: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score points against the Gaussians that the training points of `data_path` were drawn from.

    A point is good within three standard deviations of the nearest centre; a Gaussian is covered when it has a tenth
    of an even share of all points as good ones. Centres and deviation are the training points' own.
    """
    data = hdf5.describe(data_path)
    train = hdf5.read(data_path, "train")
    count = len(data.classes)
    points, labels = torch.from_numpy(train.images).flatten(1).to(torch.float64), torch.from_numpy(train.labels)
    if missing := [name for mode, name in enumerate(data.classes) if not bool((labels == mode).any())]:
        raise UserError(f"{data_path}: no training points of {missing[0]!r}; expected some of each; raise ring.train")
    centres = torch.stack([points[labels == mode].mean(0) for mode in range(count)])
    deviation = math.sqrt(float((points - centres[labels]).square().mean()))
    held_out, _ = chosen(data_path, "test", evaluation)
    with open_samples(samples_path, data.image_shape, dtype="float32") as samples:
        drawn = torch.from_numpy(samples["images"][()])
    found, real = (_near(some, centres, deviation) for some in (drawn, held_out))
    return {
        "modes_covered": found[0],
        "modes_covered_real": real[0],
        "modes": count,
        "reverse_kl": found[1],
        "reverse_kl_real": real[1],
        "high_quality_share": found[2],
        "high_quality_share_real": real[2],
        "n_modes": len(drawn),
        "n_real": len(held_out),
        "data": data.name,
    }


def _by_channel(extractor: Extractor, images: Any, count: int) -> Extracted:
    """Features (N, channels · D) and logits (N, channels · K): channels side by side, of uint8 (N, channels, H, W)."""
    parts = [
        extract(extractor, (block[:, channel : channel + 1] for block in blocks_of(images, count)))
        for channel in range(images.shape[1])
    ]
    return Extracted(torch.cat([part.features for part in parts], 1), torch.cat([part.logits for part in parts], 1))


def _modes(logits: Tensor, digits: int) -> Tensor:
    """Logits (N, channels · digits) => the mode of each image, int64 (N,), as prepare_stacked numbers classes."""
    answers = logits.unflatten(1, (-1, digits)).argmax(2)
    modes = torch.zeros(len(answers), dtype=torch.int64)
    for channel in answers.unbind(1):
        modes = modes * digits + channel
    return modes


def _near(points: Tensor, centres: Tensor, deviation: float) -> tuple[int, float, float]:
    """Modes covered, reverse KL of the nearest centres, and the share of good points; points (N, 2, 1, 1)."""
    flat = points.flatten(1).to(torch.float64)
    squares = (flat[:, None] - centres[None]).square().sum(2)  # (N, modes)
    nearest = squares.argmin(1)
    good = squares.gather(1, nearest[:, None]).flatten() <= (_STANDARD_DEVIATIONS * deviation) ** 2
    counts = torch.bincount(nearest[good], minlength=len(centres))
    enough = counts >= _FAIR * len(flat) / len(centres)
    return int(enough.sum()), reverse_kl(nearest, len(centres)), int(good.sum()) / len(flat)
