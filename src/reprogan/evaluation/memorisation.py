"""Whether a generator gives back images that it was trained on: how near each sample is to its nearest training image.

A held-out image has a nearest training image, too, and was not copied from it: how near these come is the measure.
"""

from dataclasses import dataclass

from torch import Tensor

from reprogan.evaluation.neighbours import nearest

PAIRS = 10


@dataclass(frozen=True)
class Copies:
    """What is nearest: of each sample the squared distance (N,) to, and the index (N,) of, a training image."""

    distances: Tensor
    indices: Tensor

    def closest(self, count: int = PAIRS) -> list[tuple[int, int]]:
        """(sample, training image) of the pairs that are nearest to each other, the nearest first."""
        order = self.distances.argsort(stable=True)[:count]
        return list(zip(order.tolist(), self.indices[order].tolist(), strict=True))


def find_copies(fake: Tensor, train: Tensor) -> Copies:
    """The nearest training image of each sample, both float64 (N, D) on the unit sphere."""
    return Copies(*nearest(fake, train))


def memorised(copies: Copies, held_out: Tensor) -> dict[str, float]:
    """Shares of the samples that are nearer to a training image than any held-out image is, and than half of them are.

    `held_out` are the squared distances (M,) of held-out images to their nearest training images; those that are in the
    training set as well are left out, and if there are no others so are the shares: then there is no measure. For a
    generator as good as the data the first share is about 1 / (M + 1) and the second a half.
    """
    count, held_out = len(copies.distances), held_out[held_out > 0]
    if not len(held_out):
        return {}
    return {
        "memorised_share": int((copies.distances < held_out.min()).sum()) / count,
        "nearer_than_half": int((copies.distances < held_out.median()).sum()) / count,
    }
