"""What a variant sees of a prepared data set: some of its classes, and images enlarged to another size."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reprogan.config import View
from reprogan.data.hdf5 import Arrays, Description
from reprogan.errors import UserError

_BLACK = -1.0
_SEED = 1000  # of class 0; which images of a class are seen hangs on the class alone


def image_shape(description: Description, view: View, where: str) -> tuple[int, int, int]:
    """(C, H, W) of what is seen. Raises UserError, its key prefixed with `where`, for a size that does not fit."""
    channels, height, width = description.image_shape
    if view.size is None:
        return channels, height, width
    factor = view.size // max(height, width)
    if factor < 1 or view.size % factor:
        expected = f"a multiple of {factor}" if factor else f"{max(height, width)} or more"
        raise UserError(f"{where}view.size is {view.size}; the images are {height}×{width}; expected {expected}")
    return channels, view.size, view.size


def choose(arrays: Arrays, description: Description, view: View, where: str, limit: bool) -> Arrays:
    """The images of the view's classes, as `rows_seen` finds them; raises UserError as that does."""
    index = rows_seen(arrays.labels, description, view, where, limit)
    return arrays if index is None else Arrays(arrays.images[index], arrays.labels[index])


def rows_seen(labels: np.ndarray, description: Description, view: View, where: str, limit: bool) -> np.ndarray | None:
    """The rows of the view's classes, rising; with `limit`, `per_class` of each, by a seeded permutation; None: all.

    Raises UserError, its key prefixed with `where`, for a class that is not there or has no images.
    """
    names = description.classes if view.classes is None else view.classes
    if unknown := [name for name in names if name not in description.classes]:
        raise UserError(
            f"{where}view.classes: found {unknown[0]!r}; expected classes of {description.name}: "
            f"{', '.join(description.classes[:20])}"
        )
    if view.classes is None and (view.per_class is None or not limit):
        return None
    chosen = []
    for label in sorted({description.classes.index(name) for name in names}):
        members = np.flatnonzero(labels == label)
        if not len(members):
            raise UserError(
                f"{where}view.classes: {description.name} has no images of class {description.classes[label]!r}; "
                "choose others"
            )
        if limit and view.per_class is not None:
            generator = torch.Generator().manual_seed(_SEED + label)
            members = members[torch.randperm(len(members), generator=generator).numpy()[: view.per_class]]
        chosen.append(members)
    return np.sort(np.concatenate(chosen))


def enlarge(images: Tensor, size: int | None) -> Tensor:
    """float32 (N, C, H, W) in [-1, 1] => (N, C, size, size): black margins, then each pixel a whole number wider.

    Bilinear: 28×28 digits become 32×32 with a margin of 2, then 64×64. `None`: as they are.
    """
    if size is None:
        return images
    factor = size // max(images.shape[2:])
    margins = [size // factor - side for side in (images.shape[3], images.shape[2])]
    padded = functional.pad(
        images,
        (margins[0] // 2, margins[0] - margins[0] // 2, margins[1] // 2, margins[1] - margins[1] // 2),
        value=_BLACK,
    )
    return functional.interpolate(padded, scale_factor=float(factor), mode="bilinear", align_corners=False)


def reduce(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 (N, C, size, size) => (N, C, height, width): the way back from `enlarge`, by the mean of areas."""
    factor = images.shape[2] // max(height, width)
    if factor == 1 and images.shape[2:] == (height, width):
        return images
    means = functional.avg_pool2d(images.to(torch.float32), factor).round_().to(torch.uint8)
    top, left = (means.shape[2] - height) // 2, (means.shape[3] - width) // 2
    return means[:, :, top : top + height, left : left + width]
