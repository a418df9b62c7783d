"""Toy faces as sources of themselves: a colour for what each pixel shows (skin, hair, mouth, …)."""

from pathlib import Path

import numpy as np

from reprogan.blocks import Strict
from reprogan.config import TOY_FACES
from reprogan.data.tasks import NoSource, Target
from reprogan.data.toyfaces.attributes import draw_attributes
from reprogan.data.toyfaces.face import PARTS, draw

# As far apart in hue and brightness as eleven can be.
_COLOURS = np.array(
    [
        (0, 0, 0), (0, 0, 170), (255, 200, 120), (130, 70, 0), (255, 255, 255), (110, 110, 110), (255, 120, 0),
        (230, 0, 0), (150, 0, 150), (0, 220, 220), (0, 160, 0),
    ],
    np.uint8,
)  # fmt: skip


class Options(Strict):
    """The `options` of pairs whose sources are part maps: none."""


def make(target: Target, options: Options) -> np.ndarray:
    """uint8 (3, 128, 128): the face is drawn again, for what it shows where. Raises NoSource for any other picture."""
    if Path(target.faces.source) != Path(TOY_FACES):
        raise NoSource(f"is no toy face; expected faces.source {TOY_FACES}")
    seed, index = target.faces.toyfaces.seed, int(target.key)
    face = draw(draw_attributes(seed, index), seed, index)
    if not np.array_equal(face.bytes(), target.pixels):
        raise NoSource(f"is no toy face of seed {seed}; expected data faces")
    return np.ascontiguousarray(_COLOURS[: len(PARTS)][face.parts].transpose(2, 0, 1))
