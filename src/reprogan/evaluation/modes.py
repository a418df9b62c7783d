"""Modes counted: which of the known ways that data can look a generator has found, and how evenly it draws them."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.inputs import chosen, open_samples, sample_sets, some_of

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


def stacked_modes(logits: Tensor, train_logits: Tensor, count: int, seed: int) -> dict[str, Any]:
    """The modes of stacked digits, from a single-digit classifier's logits (N, channels · digits) of all samples.

    Beside them the same of as many training images, of whose logits (M, channels · digits) a seeded permutation
    chooses; `count` is the number of modes.
    """
    digits = round(count ** (1 / 3))
    rows = some_of(len(train_logits), len(logits), seed, "evaluation train")
    modes, real_modes = _modes(logits, digits), _modes(train_logits[rows], digits)
    return {
        "modes_covered": covered(modes, count),
        "modes_covered_real": covered(real_modes, count),
        "modes": count,
        "reverse_kl": reverse_kl(modes, count),
        "reverse_kl_real": reverse_kl(real_modes, count),
        "n_modes": len(logits),
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
        sets = [_near(torch.from_numpy(group["images"][()]), centres, deviation) for group in sample_sets(samples)]
        count_drawn = len(samples["images"])
    real = _near(held_out, centres, deviation)
    return {
        **sets[0],
        **{f"{key}_real": value for key, value in real.items()},
        "sets": {key: [found[key] for found in sets] for key in real},
        "modes": count,
        "n_modes": count_drawn,
        "n_real": len(held_out),
        "data": data.name,
    }


def _modes(logits: Tensor, digits: int) -> Tensor:
    """Logits (N, channels · digits) => the mode of each image, int64 (N,), as prepare_stacked numbers classes."""
    answers = logits.unflatten(1, (-1, digits)).argmax(2)
    modes = torch.zeros(len(answers), dtype=torch.int64)
    for channel in answers.unbind(1):
        modes = modes * digits + channel
    return modes


def _near(points: Tensor, centres: Tensor, deviation: float) -> dict[str, int | float]:
    """Modes covered, reverse KL of the nearest centres, and the share of good points; points (N, 2, 1, 1)."""
    flat = points.flatten(1).to(torch.float64)
    squares = (flat[:, None] - centres[None]).square().sum(2)  # (N, modes)
    nearest = squares.argmin(1)
    good = squares.gather(1, nearest[:, None]).flatten() <= (_STANDARD_DEVIATIONS * deviation) ** 2
    counts = torch.bincount(nearest[good], minlength=len(centres))
    return {
        "modes_covered": int((counts >= _FAIR * len(flat) / len(centres)).sum()),
        "reverse_kl": reverse_kl(nearest, len(centres)),
        "high_quality_share": int(good.sum()) / len(flat),
    }
