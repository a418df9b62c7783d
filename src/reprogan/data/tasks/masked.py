"""Masked to filled: a grey square at a place of its own in each image."""

import hashlib

import numpy as np
from pydantic import Field

from reprogan.blocks import Strict
from reprogan.data.tasks import NoSource, Target

_GREY = 127


class Options(Strict):
    """The `options` of pairs whose sources have a hole."""

    seed: int = Field(ge=0, description="places are a function of it and the image's key")
    share: float = Field(gt=0, lt=1, description="of the image's sides that the hole takes")


def make(target: Target, options: Options) -> np.ndarray:
    """uint8 (C, H, W). Raises NoSource for a hole smaller than a pixel."""
    _, height, width = target.pixels.shape
    sides = int(options.share * height), int(options.share * width)
    if not all(sides):
        raise NoSource(f"has {width}×{height} pixels; a hole of share {options.share} is smaller than one")
    digest = hashlib.blake2b(f"{options.seed}/{target.key}".encode(), digest_size=16).digest()
    top = int.from_bytes(digest[:8], "little") % (height - sides[0] + 1)
    left = int.from_bytes(digest[8:], "little") % (width - sides[1] + 1)
    masked = target.pixels.copy()
    masked[:, top : top + sides[0], left : left + sides[1]] = _GREY
    return masked
