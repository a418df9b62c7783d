"""Low resolution to high: squares of pixels by their mean."""

import numpy as np
from pydantic import Field

from reprogan.blocks import Strict
from reprogan.data.tasks import NoSource, Target


class Options(Strict):
    """The `options` of pairs whose sources have a low resolution."""

    factor: int = Field(ge=2, le=64, description="pixels a side that become one; it divides the images' sides")


def make(target: Target, options: Options) -> np.ndarray:
    """uint8 (C, H, W), each square one colour. Raises NoSource where squares do not fill the image."""
    channels, height, width = target.pixels.shape
    by = options.factor
    if height % by or width % by:
        raise NoSource(f"has {width}×{height} pixels; expected sides that factor {by} divides")
    squares = target.pixels.reshape(channels, height // by, by, width // by, by).astype(np.uint32)
    means = (squares.sum((2, 4)) + by * by // 2) // (by * by)
    return means.astype(np.uint8).repeat(by, 1).repeat(by, 2)
