"""The scores of one set of images against real ones, from what an extractor makes of both: one pass, a dozen numbers.

Each is described where it is computed: `frechet.py`, `kernel.py`, `neighbours.py`, `inception.py`, `attributes.py`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from reprogan.data.hdf5 import Options
from reprogan.errors import UserError
from reprogan.evaluation.attributes import Shares, option_shares, read_options, shares_apart
from reprogan.evaluation.extractors import Extracted
from reprogan.evaluation.frechet import Moments, frechet_distance, moments
from reprogan.evaluation.inception import class_shares, entropy, inception_score
from reprogan.evaluation.kernel import kernel_distance
from reprogan.evaluation.neighbours import Balls, balls, precision_and_coverage
from reprogan.training.randomness import derive_seed


@dataclass(frozen=True)
class Real:
    """Real held-out images, prepared for many comparisons: what an extractor makes of them, and what follows from it.

    `classes` or `attributes` say what the logits stand for; without either they are not looked at.
    """

    found: Extracted
    moments: Moments
    balls: Balls
    classes: tuple[str, ...] = ()
    attributes: Options | None = None

    @property
    def option_shares(self) -> Shares:
        """How the images share out among the options of each attribute."""
        return option_shares(read_options(self.found.logits, self.attributes or {}), self.attributes or {})

    @property
    def dead_features(self) -> int:
        """How many features are the same for every image."""
        return int((self.moments.covariance.diagonal() == 0).sum())


def real_side(
    found: Extracted,
    name: str,
    classes: tuple[str, ...] = (),
    attributes: Options | None = None,
    known: Balls | None = None,
) -> Real:
    """Prepare real images of the set `name` (as errors call it) for comparisons; `known` saves computing their balls.

    Raises UserError for too few images, and for features that are the same for every image.
    """
    of_real = moments(found.features, name)
    if of_real.trace == 0:
        raise UserError(
            f"{name}: the same features for every image; expected an extractor that tells them apart; train it again"
        )
    return Real(found, of_real, known or balls(found.features, name), classes, attributes)


def quality(found: Extracted, real: Real, seed: int, name: str) -> dict[str, Any]:
    """The scores of the images that `found` was made of, against `real` ones.

    The Fréchet distance is in squared units of the features, `frechet_relative` a share of the real variance, the
    kernel distance without a unit; entropies are in nats; `diversity` is the mean distance of two images on the unit
    sphere. `seed` chooses the subsets of the kernel distance; `name` is the set's in errors. Raises UserError for too
    few images.
    """
    fake = balls(found.features, name)
    distance = frechet_distance(real.moments, moments(found.features, name))
    generator = torch.Generator().manual_seed(derive_seed(seed, "kernel"))
    scores: dict[str, Any] = {
        "frechet_distance": distance,
        "frechet_relative": distance / real.moments.trace,
        "kernel_distance": kernel_distance(real.found.features, found.features, generator),
        **precision_and_coverage(real.balls, fake),
        "diversity": fake.diversity,
    }
    if real.classes:
        shares = class_shares(found.logits)
        scores |= {
            "inception_score": inception_score(found.logits),
            "class_entropy": entropy(shares),
            "class_entropy_max": math.log(len(shares)),
            "class_shares": dict(zip(real.classes, shares, strict=True)),
        }
    elif real.attributes:
        shares_of = option_shares(read_options(found.logits, real.attributes), real.attributes)
        scores |= {
            "attribute_distance": shares_apart(shares_of, real.option_shares),
            "attribute_shares": shares_of,
        }
    return scores
