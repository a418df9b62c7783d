"""A ring of Gaussians in the plane: the data set on which mode collapse is seen at a glance and counted.

Source: Metz et al. 2017 (Unrolled GANs), section 3.1: eight of them on a circle; here of radius 1.
"""

import math
from pathlib import Path

import numpy as np
import torch

from reprogan.config import Ring
from reprogan.data import hdf5
from reprogan.data.hdf5 import Arrays, Description, Split


def prepare(ring: Ring, out: Path) -> Description:
    """Write the container `out` of points float32 (N, 2, 1, 1), drawn from `ring.seed`; the label is the Gaussian's."""
    classes = tuple(str(mode) for mode in range(ring.modes))
    train, test = _draw(ring, "train", ring.train), _draw(ring, "test", ring.test)
    hdf5.write(out, name=f"ring of {ring.modes}", classes=classes, sources={}, train=train, test=test)
    return hdf5.describe(out)


def centres(modes: int) -> list[tuple[float, float]]:
    """The centres (x, y) of `modes` Gaussians on the unit circle, the first at (1, 0), counter-clockwise."""
    # Rounded: the last bit of a cosine is not the same in every C library.
    angles = [2 * math.pi * mode / modes for mode in range(modes)]
    return [(round(math.cos(angle), 9), round(math.sin(angle), 9)) for angle in angles]


def _draw(ring: Ring, split: Split, count: int) -> Arrays:
    generator = torch.Generator().manual_seed(2 * ring.seed + hdf5.SPLITS.index(split))
    labels = torch.randint(ring.modes, (count,), generator=generator)
    points = torch.tensor(centres(ring.modes))[labels] + ring.std * torch.randn(count, 2, generator=generator)
    return Arrays(points.to(torch.float32).view(count, 2, 1, 1).numpy(), labels.numpy().astype(np.int64))
