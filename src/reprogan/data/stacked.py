"""Stacked digits: three of them in the colour channels of one image, so that ten classes make a thousand modes.

Source: Metz et al. 2017 (Unrolled GANs), section 3.3.1, for the data set; Srivastava et al. 2017 (VEEGAN), section 4.2,
for counting modes with a classifier of single digits.
"""

from pathlib import Path

import numpy as np
import torch

from reprogan.config import Stacked
from reprogan.data import hdf5
from reprogan.data.hdf5 import Arrays, Description, Split

CHANNELS = 3


def prepare(stacked: Stacked, digits: Path, out: Path) -> Description:
    """Write the container `out` of stacked images, drawn from the prepared file `digits` with the seed of `stacked`.

    Training images are made of training digits, held-out ones of held-out digits; each channel is drawn by itself, with
    replacement. The class of an image is that of its channels, red first: "705". Raises UserError for `digits`.
    """
    source = hdf5.describe(digits)
    names = source.classes
    classes = tuple(f"{red}{green}{blue}" for red in names for green in names for blue in names)
    train = _stack(hdf5.read(digits, "train"), stacked, "train", stacked.train, len(names))
    test = _stack(hdf5.read(digits, "test"), stacked, "test", stacked.test, len(names))
    hdf5.write(out, name=f"stacked {source.name}", classes=classes, sources=source.sources, train=train, test=test)
    return hdf5.describe(out)


def _stack(digits: Arrays, stacked: Stacked, split: Split, count: int, classes: int) -> Arrays:
    """`count` images uint8 (count, 3, H, W) of single-channel `digits`, and their labels."""
    generator = torch.Generator().manual_seed(2 * stacked.seed + hdf5.SPLITS.index(split))
    chosen = torch.randint(len(digits.labels), (count, CHANNELS), generator=generator).numpy()
    parts = digits.labels[chosen]  # (count, 3)
    labels = (parts[:, 0] * classes + parts[:, 1]) * classes + parts[:, 2]
    return Arrays(np.ascontiguousarray(digits.images[chosen, 0]), labels)
