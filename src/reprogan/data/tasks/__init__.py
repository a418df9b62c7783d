"""What sources can be made of images, one file each: `make` gives an image's source, `Options` are its settings.

A file is loaded by its path (`sources` of a block under `pairs`), so an edit there prepares anew only its pairs.
"""

from dataclasses import dataclass

import numpy as np

from reprogan.config import Faces


class NoSource(Exception):
    """Why no source can be made of an image, as the end of a sentence that begins with its key."""


@dataclass(frozen=True)
class Target:
    """An image that a source is to be made of: `pixels` uint8 (C, H, W), its key, and how faces were prepared."""

    pixels: np.ndarray
    key: str
    faces: Faces


def brightness(pixels: np.ndarray) -> np.ndarray:
    """uint8 (C, H, W) => (1, H, W): as it is or, of colours, the luma of Recommendation ITU-R BT.601, rounded."""
    if len(pixels) == 1:
        return pixels
    red, green, blue = pixels.astype(np.uint32)
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)[None]
