"""Edges to image: black lines on white where the brightness changes sharply (Canny 1986, by scikit-image)."""

import numpy as np
from pydantic import Field

from reprogan.blocks import Strict
from reprogan.data.tasks import NoSource, Target, brightness


class Options(Strict):
    """The `options` of pairs whose sources are edges."""

    sigma: float = Field(ge=0, le=20, description="standard deviation, in pixels, of the blur before edges are sought")


def make(target: Target, options: Options) -> np.ndarray:
    """uint8 (1, H, W), 0 on an edge, else 255. Raises NoSource if there is none."""
    from skimage.feature import canny

    found = canny(brightness(target.pixels)[0], sigma=options.sigma)
    if not found.any():
        raise NoSource("has no edges")
    return np.where(found, 0, 255).astype(np.uint8)[None]
