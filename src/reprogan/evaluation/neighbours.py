"""How generated images lie among real ones, by nearest neighbours in feature space.

Features are brought to length 1 first: of ReLU features, those of junk shrink towards zero and lie among the real ones,
so that noise would have a precision of 1. All distances are computed in float32, in blocks that stay in the caches, and
where rounding could decide what is nearer, again in float64: the counts are those of float64 throughout, in a third of
the time, and memory does not grow with N².

Sources: Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", Equation 2;
Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", Equations 3 and 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import threshold

from reprogan.errors import UserError
from reprogan.evaluation.products import products

NEIGHBOURS = 5
"""The k of all these scores: a ball reaches to the fifth nearest of its own set (Naeem et al., section 5.1)."""
_POINTS, _OTHERS = 128, 10_000  # of a block of distances: 5 MiB
_CHUNK = 128  # elements of which the smallest is looked at first
_MORE = 8  # candidates beyond the k-th


@dataclass(frozen=True)
class Balls:
    """A set of points float64 (N, D) of length 1, and of each the squared distance (N,) to its k-th nearest other."""

    points: Tensor
    radii: Tensor
    diversity: float
    """The mean distance of two of them, 0 to 2."""


def balls(features: Tensor, name: str = "features", k: int = NEIGHBOURS) -> Balls:
    """The balls round `features` (N, D). Raises UserError, naming the set as `name`, for k images or fewer."""
    if len(features) <= k:
        raise UserError(f"{name}: {len(features)} images; expected {k + 1} or more, for {k} neighbours of each")
    points = on_sphere(features)
    radii, total = [], 0.0
    for first, distances in _blocks(points, points):
        threshold(distances, _rounding(points), 0.0, inplace=True)  # no roots of what rounding left below zero
        total += float(np.sqrt(distances.numpy()).sum(dtype=np.float64))
        columns = torch.arange(distances.shape[1])
        distances[first + columns, columns] = torch.inf  # not of itself
        radii.append(_to_kth_nearest(points, distances, first, k))
    return Balls(points, torch.cat(radii), total / (len(points) * (len(points) - 1)))


def _to_kth_nearest(points: Tensor, distances: Tensor, first: int, k: int) -> Tensor:
    """Of n points, those from `first` on, the squared distances float64 (n,) to the k-th nearest others.

    `distances` float32 (N, n) are those of all points to them.
    """
    some = points[first : first + distances.shape[1]]
    values, others = _smallest(distances, min(k + _MORE, len(points) - 1))
    exact = (some - points[others]).square_().sum(2).sort(0).values[k - 1]
    # More points than were looked at are as near as the k-th, as far as float32 can tell: then look at all.
    unsure = (values[-1] <= values[k - 1] + 2 * _rounding(points)) & (exact > 0)
    for column in unsure.nonzero().flatten().tolist() if len(values) < len(points) - 1 else []:
        every = (points - some[column]).square_().sum(1)
        every[first + column] = torch.inf
        exact[column] = every.kthvalue(k).values
    return exact


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each column of (M, n), rising, and where they stand; both (count, n).

    They lie in the `count` chunks whose smallest elements are the smallest: only in these is looked.
    """
    whole = len(values) // _CHUNK * _CHUNK
    if whole // _CHUNK <= count:
        return values.topk(count, 0, largest=False)
    chunks = values[:whole].unflatten(0, (-1, _CHUNK))
    near = chunks.amin(1).topk(count, 0, largest=False).indices
    looked_at = chunks.gather(0, near[:, None].expand(-1, _CHUNK, -1)).flatten(0, 1)
    found, places = torch.cat([looked_at, values[whole:]]).topk(count, 0, largest=False)
    of_chunk = near.gather(0, (places // _CHUNK).clamp_(max=count - 1)) * _CHUNK + places % _CHUNK
    return found, torch.where(places < count * _CHUNK, of_chunk, places - count * _CHUNK + whole)


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
        some = slice(first, first + distances.shape[1])
        inside = _less(distances, real.radii[:, None], real.points, fake.points[some])
        precise += int(inside.any(0).sum())
        inside_at_all += int(inside.sum())
        covered |= inside.any(1)
        recalled |= _less(distances, fake.radii[some], real.points, fake.points[some]).any(1)
    return {
        "precision": precise / len(fake.points),
        "recall": int(recalled.sum()) / len(real.points),
        "density": inside_at_all / (k * len(fake.points)),
        "coverage": int(covered.sum()) / len(real.points),
    }


def _less(distances: Tensor, radii: Tensor, points: Tensor, others: Tensor) -> Tensor:
    """Whether the squared distances (M, n) of `points` (M, D) to `others` (n, D) are below `radii`, (M, 1) or (n,)."""
    rounding = _rounding(points)
    inside = distances < (radii - rounding).to(torch.float32)
    unsure = (distances < (radii + rounding).to(torch.float32)).logical_xor_(inside)
    rows, columns = unsure.nonzero(as_tuple=True)
    exact = (points[rows] - others[columns]).square_().sum(1)
    inside[rows, columns] = exact < radii.expand(distances.shape)[rows, columns]
    return inside


def nearest(points: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point (N, D) the nearest `among` others (M, D), all of length 1: squared distances (N,), indices (N,).

    Of two that float32 cannot tell apart either may be named; the distance to it is float64.
    """
    least = torch.full((len(points),), torch.inf)
    indices = torch.zeros(len(points), dtype=torch.int64)
    for start in range(0, len(among), _OTHERS):
        found = [_smallest(distances, 1) for _, distances in _blocks(points, among[start : start + _OTHERS])]
        values, places = (torch.cat([part[0] for part in parts]) for parts in zip(*found, strict=True))
        indices = torch.where(values < least, places + start, indices)
        least = torch.minimum(values, least)
    distances = torch.cat(
        [(a - among[b]).square_().sum(1) for a, b in zip(points.split(1000), indices.split(1000), strict=True)]
    )
    return distances, indices


def _blocks(points: Tensor, others: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Squared distances float32 (M, n) of all M `others` to a few points at a time, and where the few begin."""
    points, others = points.to(torch.float32), others.to(torch.float32)
    lengths = others.square().sum(1, keepdim=True)
    of_length_1 = bool((lengths > 0.5).all())  # else some are zeros
    for first in range(0, len(points), _POINTS):
        some = points[first : first + _POINTS]
        distances = products(others, -2 * some, some.square().sum(1) + float(of_length_1))
        yield first, distances if of_length_1 else distances.add_(lengths)


def _rounding(points: Tensor) -> float:
    """How far a squared distance in float32 may be off, of vectors (N, D) of length 1."""
    return float((points.shape[1] + 8) * 2.0**-23)
