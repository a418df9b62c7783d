"""The Fréchet distance between two sets of features, each taken as a Gaussian."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reprogan.errors import UserError


@dataclass(frozen=True)
class Moments:
    """The Gaussian of one set of features: `mean` float64 (D,), `covariance` float64 (D, D), of `count` rows."""

    mean: Tensor
    covariance: Tensor
    count: int

    @property
    def trace(self) -> float:
        """Total variance: the scale that makes distances of different extractors readable."""
        return float(self.covariance.trace())


def moments(features: Tensor, name: str = "features") -> Moments:
    """Mean and unbiased covariance (divided by N - 1) of `features` (N, D), in float64.

    Raises UserError, naming the set as `name`, for fewer than 2 rows and for values that are not finite.
    """
    if len(features) < 2:
        raise UserError(f"{name}: {len(features)} images; expected 2 or more, a covariance needs them")
    features = features.to(torch.float64)
    if not bool(torch.isfinite(features).all()):
        raise UserError(f"{name}: features that are not finite; expected numbers; train the extractor again")
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1), len(features))


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|μr − μf|² + tr(Σr + Σf − 2 (Σr Σf)^½), in squared units of the features; 0 for equal sets.

    (Σr Σf)^½ has the trace of (Σr^½ Σf Σr^½)^½, whose argument is symmetric: its eigenvalues are real, and the
    form holds for dead features and for fewer images than dimensions.

    Sources: Dowson and Landau 1982 (the distance, equation 4); Heusel et al. 2017 (as a score of generators).
    Raises UserError if the two sets have different numbers of features.
    """
    if real.mean.shape != fake.mean.shape:
        raise UserError(
            f"Fréchet distance: {len(real.mean)} features against {len(fake.mean)}; expected one extractor for both"
        )
    root = _square_root(real.covariance)
    product = root @ fake.covariance @ root
    # Rounding leaves `product` a little asymmetric, and some of its zero eigenvalues a little below zero.
    eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2).tolist()
    trace_of_root = math.fsum(map(_root, eigenvalues))
    distance = float((real.mean - fake.mean).square().sum()) + real.trace + fake.trace - 2 * trace_of_root
    return max(distance, 0.0)


def _square_root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    # Not torch.sqrt: its bits differ between CPU types (MKL's vector library), math.sqrt's do not.
    roots = torch.tensor([_root(value) for value in eigenvalues.tolist()], dtype=torch.float64)
    return (vectors * roots) @ vectors.T


def _root(eigenvalue: float) -> float:
    return math.sqrt(max(eigenvalue, 0.0))
