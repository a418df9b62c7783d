"""Anti-aliased shapes from signed distances, in numpy.

Nothing but sums, products, quotients, comparisons and square roots, which IEEE 754 rounds the same on every processor:
a drawing is the same to the byte everywhere. A distance is in pixels, negative inside.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, ...]  # red, green, blue, 0 to 1
Point = tuple[float, float]
Area = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Plane:
    """Coordinates of pixel centres, float32 (H, W) each, in pixels."""

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def square(cls, size: int) -> "Plane":
        """The whole of a square picture, from its upper left corner."""
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) + np.float32(0.5)
        return cls(x, y)

    def window(self, area: Area) -> "Plane":
        """Some of the pixels, from the same origin."""
        return Plane(self.x[area], self.y[area])

    def about(self, x: float, y: float, lean: float = 0.0) -> "Plane":
        """The same pixels seen from (x, y), turned by twice the arc tangent of `lean`."""
        c, s = np.float32((1 - lean * lean) / (1 + lean * lean)), np.float32(2 * lean / (1 + lean * lean))
        dx, dy = self.x - np.float32(x), self.y - np.float32(y)
        return Plane(c * dx + s * dy, c * dy - s * dx) if lean else Plane(dx, dy)

    def mirrored(self) -> "Plane":
        """Right of the axis as left of it: x becomes its absolute value."""
        return Plane(np.abs(self.x), self.y)


def ellipse(p: Plane, x: float, y: float, a: float, b: float) -> np.ndarray:
    """Half axes a, b round (x, y). First order: exact on the outline, off by little near it."""
    dx, dy = (p.x - np.float32(x)) / np.float32(a), (p.y - np.float32(y)) / np.float32(b)
    square = dx * dx + dy * dy
    ex, ey = dx / np.float32(a), dy / np.float32(b)
    slope = np.sqrt(ex * ex + ey * ey) + np.float32(1e-6)
    root = np.sqrt(square)
    return root * (root - 1) / slope


def box(p: Plane, x: float, y: float, a: float, b: float, round_: float = 0.0) -> np.ndarray:
    """Half sides a, b round (x, y), corners rounded by `round_`."""
    dx = np.abs(p.x - np.float32(x)) - np.float32(a - round_)
    dy = np.abs(p.y - np.float32(y)) - np.float32(b - round_)
    ox, oy = np.maximum(dx, 0), np.maximum(dy, 0)
    return np.sqrt(ox * ox + oy * oy) + np.minimum(np.maximum(dx, dy), 0) - np.float32(round_)


def stroke(p: Plane, points: list[Point], width: float) -> np.ndarray:
    """A line of `width` through the points, with round ends."""
    pieces = [_square_to_piece(p, start, end) for start, end in itertools.pairwise(points)]
    return np.sqrt(functools.reduce(np.minimum, pieces)) - np.float32(width / 2)


def _square_to_piece(p: Plane, start: Point, end: Point) -> np.ndarray:
    """The squared distance to a straight line between two points that are not the same."""
    ux, uy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    x, y = p.x - np.float32(start[0]), p.y - np.float32(start[1])
    along = np.clip((x * ux + y * uy) / (ux * ux + uy * uy), 0, 1)
    off_x, off_y = x - along * ux, y - along * uy
    return off_x * off_x + off_y * off_y


def curve(start: Point, control: Point, end: Point, pieces: int = 8) -> list[Point]:
    """Points on a quadratic Bézier curve."""

    def at(t: float, axis: int) -> float:
        return (1 - t) * (1 - t) * start[axis] + 2 * t * (1 - t) * control[axis] + t * t * end[axis]

    return [(at(i / pieces, 0), at(i / pieces, 1)) for i in range(pieces + 1)]


def join(a: np.ndarray, b: np.ndarray, blend: float = 0.0) -> np.ndarray:
    """Both shapes; `blend` rounds the crease between them by about as many pixels."""
    if not blend:
        return np.minimum(a, b)
    h = np.maximum(np.float32(blend) - np.abs(a - b), 0) / np.float32(blend)
    return np.minimum(a, b) - h * h * np.float32(blend / 4)


def within(a: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """What lies in all shapes."""
    for b in others:
        a = np.maximum(a, b)
    return a


def coverage(distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
    """0 outside to 1 inside, over a rim of `soft` pixels; wide rims are eased."""
    t = np.clip(np.float32(0.5) - distance / np.float32(soft), 0, 1)
    return t * t * (3 - 2 * t) if soft > 1.5 else t


class Canvas:
    """A picture, float32 (3, H, W) of 0 to 1, and what each pixel shows: an index into `names`, uint8 (H, W)."""

    def __init__(self, pixels: np.ndarray, parts: np.ndarray, names: tuple[str, ...]) -> None:
        self.pixels = pixels
        self.parts = parts
        self._names = names

    @classmethod
    def square(cls, size: int, names: tuple[str, ...]) -> "Canvas":
        """A black one that shows the first of `names` everywhere."""
        return cls(np.zeros((3, size, size), np.float32), np.zeros((size, size), np.uint8), names)

    def window(self, area: Area) -> "Canvas":
        """A part of this canvas: what is painted there is painted here."""
        return Canvas(self.pixels[(slice(None), *area)], self.parts[area], self._names)

    def paint(
        self, mask: np.ndarray, colour: "Colour | np.ndarray", opacity: float = 1.0, part: str | None = None
    ) -> None:
        """Lay a colour (or one a pixel, (3, H, W)) over what is there where `mask` (H, W) is above 0."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return
        area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        over = mask[area] * np.float32(opacity)
        wanted = (
            colour[(slice(None), *area)]
            if isinstance(colour, np.ndarray)
            else np.asarray(colour, np.float32)[:, None, None]
        )
        target = self.pixels[(slice(None), *area)]
        target += over * (wanted - target)
        if part is not None:
            self.parts[area][mask[area] > 0.5] = self._names.index(part)

    def bytes(self) -> np.ndarray:
        """uint8 (3, H, W)."""
        return (np.clip(self.pixels, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
