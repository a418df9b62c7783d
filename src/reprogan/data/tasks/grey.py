"""Grey to colour."""

import numpy as np

from reprogan.blocks import Strict
from reprogan.data.tasks import NoSource, Target, brightness


class Options(Strict):
    """The `options` of pairs whose sources are grey: none."""


def make(target: Target, options: Options) -> np.ndarray:
    """uint8 (1, H, W). Raises NoSource for an image that has no colours."""
    if len(target.pixels) == 1:
        raise NoSource("is grey already; expected three channels")
    return brightness(target.pixels)
