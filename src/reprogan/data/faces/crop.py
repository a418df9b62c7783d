"""From a picture of any size to a square of 128×128 pixels, or as many as `faces.size` says."""

from typing import Literal

import numpy as np
from PIL import Image

_MAXIMUM_PIXELS = 64_000_000  # of a picture that is scaled

Resize = Literal["none", "shorter_side"]
Grey = Literal["repeat", "error"]
Alpha = Literal["white", "black", "error"]


class Unfit(Exception):
    """Why a picture cannot be taken as it is, as the end of a sentence that begins with its key."""


class TooSmall(Unfit):
    """A picture with a side shorter than the square's."""


def as_rgb(picture: Image.Image, grey: Grey, alpha: Alpha) -> Image.Image:
    """A picture of any kind => RGB: grey ones three times the same, transparent ones laid on a colour, as declared.

    Raises Unfit for what is declared an error, and for more than 8 bits a channel.
    """
    if picture.mode.startswith(("I", "F")):
        raise Unfit(f"has more than 8 bits a channel (mode {picture.mode}); expected 8")
    if picture.mode in ("1", "L", "LA", "La") and grey == "error":
        raise Unfit("is grey; faces.grey is error")
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):
            if alpha == "error":
                raise Unfit("is transparent; faces.alpha is error")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, alpha), picture)
    return picture.convert("RGB")


def square(picture: Image.Image, resize: Resize, pad: bool, size: int) -> np.ndarray:
    """RGB picture => its middle, uint8 (3, size, size).

    `shorter_side` first scales that to `size` pixels; with `none` a picture keeps its scale. With `pad` black is laid
    around one that is too small, else TooSmall is raised.
    """
    if resize == "shorter_side":
        picture = _scaled(picture, size)
    pixels = np.asarray(picture)
    if min(pixels.shape[:2]) < size:
        if not pad:
            raise TooSmall(f"has {pixels.shape[1]}×{pixels.shape[0]} pixels; expected {size} a side")
        pixels = _padded(pixels, size)
    return np.ascontiguousarray(centre(pixels, size).transpose(2, 0, 1))


def centre(pixels: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) => (size, size, 3), of 128: from H // 2 - 64 down and from W // 2 - 64 to the right.

    Source: Rashid 2020, "Make Your First GAN With PyTorch", part 2 (`crop_centre`).
    """
    top, left = (length // 2 - size // 2 for length in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]


def _scaled(picture: Image.Image, size: int) -> Image.Image:
    """The shorter side `size` pixels, the longer one in proportion, rounded; Pillow's Lanczos filter."""
    shorter = min(picture.size)
    # Whole numbers alone: a half is rounded up.
    width, height = ((2 * length * size + shorter) // (2 * shorter) for length in picture.size)
    if width * height > _MAXIMUM_PIXELS:
        raise Unfit(f"has {picture.width}×{picture.height} pixels; expected sides that are more alike")
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _padded(pixels: np.ndarray, size: int) -> np.ndarray:
    """Black around a picture up to `size` pixels a side, so that `centre` finds its middle in the middle."""
    before = [max(0, size // 2 - length // 2) for length in pixels.shape[:2]]
    after = [max(0, size - length - first) for length, first in zip(pixels.shape[:2], before, strict=True)]
    return np.pad(pixels, [*zip(before, after, strict=True), (0, 0)])
