"""The head of a toy face: where it is, how large, and which pixels its features lie in."""

from dataclasses import dataclass

import numpy as np

from reprogan.data.toyfaces.attributes import Attributes, Draws
from reprogan.data.toyfaces.drawing import Plane, box, ellipse, join

SIZE = 128
WHOLE = Plane.square(SIZE)
FEATURES = np.s_[24:112, 22:106]  # eyes, nose and mouth lie in these rows and columns


@dataclass(frozen=True)
class Head:
    """Where a head is and its size: planes seen from its centre, and half its width and height in pixels."""

    x: float
    y: float
    plane: Plane  # of the head
    mirrored: Plane
    features: Plane  # the pixels of FEATURES, shifted to the side that the head is turned to
    both: Plane  # the same, mirrored: what is painted there comes twice
    w: float
    h: float
    shape: np.ndarray


def place_head(face: Attributes, draws: Draws) -> Head:
    """The head that goes with a face's attributes."""
    u = draws.between
    woman = face.person == "woman"
    w, h = {"round": (30.0, 31.0), "oval": (27.5, 34.0), "long": (25.5, 37.0), "square": (29.0, 33.0)}[face.head]
    scale = u(0.93, 1.05) * (0.97 if woman else 1.03)
    w, h = w * scale + u(-1, 1), h * scale + u(-1, 1)
    x, y = 64 + u(-4, 4), 62 + u(-3, 3)
    plane = WHOLE.about(x, y, u(-0.045, 0.045))
    turn = {"left": -1, "ahead": 0, "right": 1}[face.gaze] * u(0.5, 1.5) + u(-1.2, 1.2)
    features = plane.window(FEATURES).about(turn * 1.6, 0)
    jaw = w * {"round": 0.84, "oval": 0.70, "long": 0.72, "square": 0.88}[face.head] * (0.94 if woman else 1.04)
    shape = join(ellipse(plane, 0, -h * 0.18, w, h * 0.82), box(plane, 0, h * 0.45, jaw, h * 0.52, jaw * 0.78), 6)
    if face.head == "square":
        shape = join(shape, box(plane, 0, h * 0.42, w * 0.86, h * 0.5, w * 0.42), 6)
    return Head(x, y, plane, plane.mirrored(), features, features.mirrored(), w, h, shape)
