"""How generated images lie among real ones, by nearest neighbours in feature space.

Features are brought to length 1 first: of ReLU features, those of junk shrink towards zero and lie among the real ones,
so that noise would have a precision of 1. Distances are computed in blocks: memory does not grow with N².

Sources: Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", Equation 2;
Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", Equations 3 and 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reprogan.errors import UserError

NEIGHBOURS = 5
"""The k of all these scores: a ball reaches to the fifth nearest of its own set (Naeem et al., section 5.1)."""
_ELEMENTS = 1 << 24  # of a block of distances: 128 MiB
_ZERO = 1e-12  # below it a squared distance is rounding: features of length 1, float64


@dataclass(frozen=True)
class Balls:
    """A set of points float64 (N, D) of length 1, and of each the squared distance (N,) to its k-th nearest other."""

    points: Tensor
    radii: Tensor
    spread: float
    """The mean distance of two of them, 0 to 2."""


def balls(features: Tensor, name: str = "features", k: int = NEIGHBOURS) -> Balls:
    """The balls round `features` (N, D). Raises UserError, naming the set as `name`, for k images or fewer."""
    if len(features) <= k:
        raise UserError(f"{name}: {len(features)} images; expected {k + 1} or more, for {k} neighbours of each")
    points = on_sphere(features)
    radii, total = [], 0.0
    for first, distances in _blocks(points, points):
        total += float(np.sqrt(distances.numpy()).sum(1).sum())
        rows = torch.arange(len(distances))
        distances[rows, first + rows] = torch.inf  # not of itself
        radii.append(distances.topk(k, 1, largest=False).values[:, -1])
    return Balls(points, torch.cat(radii), total / (len(points) * (len(points) - 1)))


def on_sphere(features: Tensor) -> Tensor:
    """`features` (N, D) in float64, each of length 1; zeros stay zeros."""
    features = features.to(torch.float64)
    lengths = np.sqrt(features.square().sum(1, keepdim=True).numpy())  # not torch.sqrt: its bits differ between CPUs
    return features / torch.from_numpy(np.where(lengths > 0, lengths, 1.0))


def precision_and_coverage(real: Balls, fake: Balls, k: int = NEIGHBOURS) -> dict[str, float]:
    """Four shares.

    `precision`: of the generated images, in a real image's ball. `recall`: of the real ones, in a generated one's.
    `density`: in how many real balls a generated image lies, divided by k; about 1, and more where it keeps to the
    densest places. `coverage`: of the real images, with a generated one in their ball. A point on a ball's surface is
    not in it.
    """
    covered = torch.zeros(len(real.points), dtype=torch.bool)
    recalled = torch.zeros(len(real.points), dtype=torch.bool)
    precise = inside_at_all = 0
    for first, distances in _blocks(fake.points, real.points):
        inside = distances < real.radii
        precise += int(inside.any(1).sum())
        inside_at_all += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distances < fake.radii[first : first + len(distances), None]).any(0)
    return {
        "precision": precise / len(fake.points),
        "recall": int(recalled.sum()) / len(real.points),
        "density": inside_at_all / (k * len(fake.points)),
        "coverage": int(covered.sum()) / len(real.points),
    }


def nearest(points: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point (N, D) the nearest `among` others (M, D), all of length 1: squared distances (N,), indices (N,).

    Found in float32, for twice the speed, so that of two that are equally near but for a millionth either may be named;
    the distance to it is float64.
    """
    found = [distances.argmin(1) for _, distances in _blocks(points.to(torch.float32), among.to(torch.float32))]
    indices = torch.cat(found)
    distances = torch.cat(
        [(a - among[b]).square().sum(1) for a, b in zip(points.split(1000), indices.split(1000), strict=True)]
    )
    return distances, indices


def _blocks(points: Tensor, others: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Squared distances (n, M) of a few points at a time to all others, and where the few begin."""
    lengths = others.square().sum(1)
    for first in range(0, len(points), rows := max(1, _ELEMENTS // len(others))):
        some = points[first : first + rows]
        distances = torch.addmm(lengths, some, others.T, alpha=-2).add_(some.square().sum(1, keepdim=True))
        yield first, distances.masked_fill_(distances < _ZERO, 0.0)
