"""One toy face, drawn from its attributes: from the background forward, part by part."""

from dataclasses import dataclass

import numpy as np

from reprogan.data.toyfaces.attributes import Attributes, Draws
from reprogan.data.toyfaces.drawing import Canvas, Colour, Plane, box, coverage, curve, ellipse, join, stroke, within

SIZE = 128
PARTS = ("background", "clothes", "skin", "hair", "eyes", "brows", "nose", "mouth", "beard", "glasses", "hat")
"""What a pixel may show, in the order of the codes of `Canvas.parts`."""

_SKIN: dict[str, Colour] = {
    "pale": (0.98, 0.87, 0.79),
    "light": (0.94, 0.77, 0.64),
    "tan": (0.82, 0.62, 0.46),
    "brown": (0.62, 0.42, 0.29),
    "dark": (0.40, 0.26, 0.19),
}
_HAIR: dict[str, Colour] = {
    "black": (0.10, 0.09, 0.11),
    "brown": (0.33, 0.20, 0.12),
    "red": (0.66, 0.26, 0.10),
    "blond": (0.88, 0.72, 0.40),
    "grey": (0.58, 0.58, 0.60),
    "white": (0.84, 0.83, 0.81),
    "blue": (0.22, 0.40, 0.75),
    "pink": (0.93, 0.47, 0.66),
}
_IRIS: dict[str, Colour] = {
    "brown": (0.36, 0.22, 0.12),
    "blue": (0.27, 0.52, 0.80),
    "green": (0.28, 0.58, 0.36),
    "grey": (0.50, 0.55, 0.60),
}
_CLOTH: dict[str, Colour] = {
    "red": (0.80, 0.22, 0.22),
    "blue": (0.23, 0.38, 0.72),
    "green": (0.24, 0.55, 0.36),
    "yellow": (0.93, 0.76, 0.26),
    "purple": (0.50, 0.32, 0.66),
    "orange": (0.92, 0.52, 0.20),
    "grey": (0.45, 0.48, 0.52),
    "white": (0.93, 0.93, 0.91),
}
_BACKGROUND: dict[str, Colour] = {
    "blue": (0.62, 0.78, 0.92),
    "green": (0.68, 0.86, 0.68),
    "yellow": (0.97, 0.89, 0.62),
    "pink": (0.97, 0.76, 0.80),
    "purple": (0.80, 0.74, 0.92),
    "grey": (0.82, 0.83, 0.85),
    "orange": (0.98, 0.80, 0.60),
}
_FRAMES: tuple[Colour, ...] = ((0.12, 0.12, 0.14), (0.45, 0.20, 0.12), (0.70, 0.58, 0.25), (0.55, 0.10, 0.15))
_WHITE: Colour = (1.0, 1.0, 1.0)
_DARK: Colour = (0.13, 0.09, 0.08)
_WHOLE = Plane.square(SIZE)
_FEATURES = np.s_[24:112, 22:106]  # eyes, nose and mouth lie in these rows and columns


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """a where `share` is 0, b where it is 1."""
    return tuple((1 - share) * x + share * y for x, y in zip(a, b, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter above."""
    return tuple(min(1.0, max(0.0, value * factor)) for value in colour)


@dataclass(frozen=True)
class Head:
    """Where a head is and its size: planes seen from its centre, and half its width and height in pixels."""

    x: float
    y: float
    plane: Plane  # of the head
    mirrored: Plane
    features: Plane  # the pixels of _FEATURES, shifted to the side that the head is turned to
    both: Plane  # the same, mirrored: what is painted there comes twice
    w: float
    h: float
    shape: np.ndarray


def draw(face: Attributes, seed: int, index: int) -> Canvas:
    """The face; what its attributes leave open is drawn from (seed, index)."""
    draws = Draws(seed, 2, index)
    u = draws.between
    canvas = Canvas.square(SIZE, PARTS)
    skin = tuple(min(1.0, max(0.0, value + u(-0.02, 0.02))) for value in _SKIN[face.skin])
    hair = shade(_HAIR[face.hair_colour], u(0.9, 1.1))
    head = _head(face, draws)
    strands = _strands(head.plane, hair, draws)
    _background(canvas, face, draws)
    _hair_behind(canvas, face, head, strands, draws)
    _shoulders(canvas, face, head, skin, draws)
    _skull(canvas, face, head, skin, draws)
    features = canvas.window(_FEATURES)
    _mouth_and_beard(features, face, head, skin, hair, strands[:, *_FEATURES], draws)
    _nose(features, face, head, skin, draws)
    eyes = _eyes(features, face, head, skin, hair, draws)
    _hair_in_front(canvas, face, head, strands, draws)
    _glasses(features, face, head, eyes, draws)
    _hat(canvas, face, head, draws)
    return canvas


def _head(face: Attributes, draws: Draws) -> Head:
    u = draws.between
    woman = face.person == "woman"
    w, h = {"round": (30.0, 31.0), "oval": (27.5, 34.0), "long": (25.5, 37.0), "square": (29.0, 33.0)}[face.head]
    scale = u(0.93, 1.05) * (0.97 if woman else 1.03)
    w, h = w * scale + u(-1, 1), h * scale + u(-1, 1)
    x, y = 64 + u(-4, 4), 62 + u(-3, 3)
    plane = _WHOLE.about(x, y, u(-0.045, 0.045))
    turn = {"left": -1, "ahead": 0, "right": 1}[face.gaze] * u(0.5, 1.5) + u(-1.2, 1.2)
    features = plane.window(_FEATURES).about(turn * 1.6, 0)
    jaw = w * {"round": 0.84, "oval": 0.70, "long": 0.72, "square": 0.88}[face.head] * (0.94 if woman else 1.04)
    shape = join(ellipse(plane, 0, -h * 0.18, w, h * 0.82), box(plane, 0, h * 0.45, jaw, h * 0.52, jaw * 0.78), 6)
    if face.head == "square":
        shape = join(shape, box(plane, 0, h * 0.42, w * 0.86, h * 0.5, w * 0.42), 6)
    return Head(x, y, plane, plane.mirrored(), features, features.mirrored(), w, h, shape)


def _strands(plane: Plane, colour: Colour, draws: Draws) -> np.ndarray:
    """Hair's colour at each pixel, with darker and lighter strands and a band of shine, (3, H, W)."""
    fine = draws.between(0.55, 0.8)
    slant = draws.between(0.05, 0.16)
    tone = 0.88 + 0.16 * _saw(plane.x * np.float32(fine) + plane.y * np.float32(slant))
    tone += 0.10 * _saw(plane.x * np.float32(2.7 * fine) - plane.y * np.float32(0.1))
    from_band = (plane.y + 24) / np.float32(9)
    shine = np.maximum(1 - from_band * from_band, 0) * np.float32(0.16)
    return np.stack([np.clip(np.float32(value) * (tone + shine) + shine * np.float32(0.1), 0, 1) for value in colour])


def _saw(x: np.ndarray) -> np.ndarray:
    """0 to 1 and back over each whole number."""
    return np.abs(x - np.floor(x) - np.float32(0.5)) * np.float32(2)


def _background(canvas: Canvas, face: Attributes, draws: Draws) -> None:
    u = draws.between
    colour = _BACKGROUND[face.background]
    top, bottom = shade(colour, u(1.0, 1.08)), shade(colour, u(0.78, 0.9))
    down = _WHOLE.y / np.float32(SIZE)
    for plane, above, below in zip(canvas.pixels, top, bottom, strict=True):
        plane[:] = np.float32(above) + np.float32(below - above) * down
    if face.pattern == "glow":
        canvas.paint(coverage(ellipse(_WHOLE, 64, 58, 40, 40), 50), mix(colour, _WHITE, 0.75), 0.8)
    if face.pattern == "spots":
        for _ in range(9):
            radius = u(4, 12)
            spot = ellipse(_WHOLE, u(0, SIZE), u(0, SIZE), radius, radius)
            canvas.paint(coverage(spot, 2.5), mix(colour, _WHITE, 0.6), u(0.25, 0.6))


def _hair_behind(canvas: Canvas, face: Attributes, head: Head, strands: np.ndarray, draws: Draws) -> None:
    u, p, w, h = draws.between, head.plane, head.w, head.h
    if face.hair == "long":
        length = u(44, 58)
        shape = join(
            ellipse(p, 0, -h * 0.25, w * 1.16, h * 0.92), box(p, 0, length * 0.42, w * 1.13, length * 0.72, 14), 8
        )
    elif face.hair == "bob":
        shape = join(ellipse(p, 0, -h * 0.2, w * 1.2, h * 0.95), box(p, 0, h * 0.25, w * 1.2, h * 0.55, 13), 6)
    elif face.hair == "curly":
        shape = ellipse(p, 0, -h * 0.3, w * 1.22, h * 0.93)
        for curl in range(15):
            q = 2 * curl / 14 - 1
            radius = u(7, 10)
            y = -h * 0.3 - (1 - q * q) * h * 0.85 + abs(q * q * q) * h * 0.45
            shape = join(shape, ellipse(p, q * w * 1.22, y, radius, radius), 2)
    elif face.hair == "bun":
        radius = u(10, 13)
        shape = ellipse(p, u(-2, 2), -h * 1.06 - radius * 0.3, radius * 1.1, radius)
    else:
        return
    canvas.paint(coverage(shape), strands * np.float32(0.74), part="hair")


def _shoulders(canvas: Canvas, face: Attributes, head: Head, skin: Colour, draws: Draws) -> None:
    u, w, h = draws.between, head.w, head.h
    woman = face.person == "woman"
    cloth = shade(_CLOTH[face.clothes], u(0.9, 1.05))
    middle = head.x * 0.8 + 12.8  # between the head's and the picture's
    chest = _WHOLE.about(head.x * 0.5 + 32, SIZE)
    half = u(44, 52) * (0.94 if woman else 1.08)
    torso = join(ellipse(chest, 0, 8, half, u(30, 35)), box(chest, 0, 14, half * 0.9, 14, 4), 10)
    neck = box(_WHOLE, middle, head.y + h * 1.15, w * (0.42 if woman else 0.54), h * 0.8, 7)
    canvas.paint(coverage(neck), shade(skin, 0.72), part="skin")
    canvas.paint(
        coverage(ellipse(_WHOLE, middle, head.y + h * 1.02, w * 0.8, h * 0.22), 14) * coverage(neck),
        shade(skin, 0.5),
        0.55,
    )
    lit = np.float32(1.06) - np.abs(chest.x + 10) / np.float32(half * 5)
    canvas.paint(coverage(torso), np.stack([np.clip(np.float32(value) * lit, 0, 1) for value in cloth]), part="clothes")
    collar = ellipse(chest, 0, -27, w * 0.62, u(9, 13))
    canvas.paint(coverage(within(collar, torso)), shade(skin, 0.8), part="skin")
    canvas.paint(coverage(np.abs(collar) - np.float32(1.2)) * coverage(torso), shade(cloth, 0.75), part="clothes")
    if draws.often(0.3):  # a hood's strings
        for side in (-1, 1):
            canvas.paint(
                coverage(stroke(chest, [(side * w * 0.45, -26), (side * w * 0.2, -8)], 2.4)), shade(cloth, 0.7)
            )


def _skull(canvas: Canvas, face: Attributes, head: Head, skin: Colour, draws: Draws) -> None:
    p, both, w, h = head.plane, head.mirrored, head.w, head.h
    if face.hair not in ("long", "bob"):
        canvas.paint(coverage(ellipse(both, w * 0.99, h * 0.06, w * 0.17, h * 0.2)), shade(skin, 0.9), part="skin")
        canvas.paint(coverage(ellipse(both, w, h * 0.07, w * 0.08, h * 0.11)), shade(skin, 0.68))
        if face.person == "woman" and draws.often(0.5):
            canvas.paint(coverage(ellipse(both, w * 1.02, h * 0.32, 2.4, 2.4)), (0.95, 0.82, 0.35))
    # A ball, lit from the upper left.
    x, y = p.x / np.float32(w * 1.15), (p.y + np.float32(h * 0.05)) / np.float32(h * 1.2)
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    light = np.float32(0.7) + np.float32(0.4) * np.clip(
        np.float32(-0.38) * x - np.float32(0.42) * y + np.float32(0.82) * z, 0, 1
    )
    canvas.paint(coverage(head.shape), np.stack([np.float32(value) * light for value in skin]), part="skin")
    cheek = coverage(ellipse(both, w * 0.6, h * 0.27, w * 0.28, h * 0.16), 9) * coverage(head.shape)
    canvas.paint(cheek, mix(skin, (0.90, 0.30, 0.28), 0.6), 0.28 if face.person == "woman" else 0.14)


def _mouth_and_beard(
    canvas: Canvas, face: Attributes, head: Head, skin: Colour, hair: Colour, strands: np.ndarray, draws: Draws
) -> None:
    u, f, both, w, h = draws.between, head.features, head.both, head.w, head.h
    p, skull = head.plane.window(_FEATURES), head.shape[_FEATURES]
    woman = face.person == "woman"
    y = h * 0.52 + u(-1, 1)
    if face.beard in ("full", "stubble"):
        low = within(skull - 0.6, np.float32(y - h * 0.2 - w * 0.1) - np.abs(p.x) * np.float32(0.35) - p.y)
        sides = within(skull - 0.5, np.float32(w * 0.84) - np.abs(p.x), np.float32(h * 0.02) - p.y)
        shape = within(join(low, sides, 6), -ellipse(f, 0, y + 0.5, w * 0.30, h * 0.085))
        if face.beard == "full":
            below = within(ellipse(p, 0, h * 0.62, w * 0.74 + 2, h * 0.5), np.float32(y) - p.y)
            shape = within(join(shape, below, 5), -ellipse(f, 0, y + 0.5, w * 0.30, h * 0.085))
            canvas.paint(coverage(shape, 1.8), strands * np.float32(0.92), part="beard")
        else:
            canvas.paint(coverage(shape, 5) * coverage(skull), mix(hair, skin, 0.35), 0.38, part="beard")
    tint = shade(mix(hair, skin, 0.12), 0.95)
    if face.beard == "goatee":
        shape = join(
            ellipse(f, 0, y + h * 0.27, w * 0.24, h * 0.17), box(both, w * 0.30, y + h * 0.05, 1.8, h * 0.2, 1.8), 3
        )
        canvas.paint(coverage(shape, 1.6) * coverage(skull - 2), tint, part="beard")

    half = w * u(0.34, 0.44)
    bend = {"frown": -5.5, "straight": 0.4, "smile": 6.5, "grin": 8.0}[face.mouth] * u(0.75, 1.1)
    lip = mix(skin, (0.78, 0.16, 0.20), 0.62) if woman else mix(skin, (0.60, 0.22, 0.20), 0.5)
    if face.mouth == "grin":
        top = y - 2
        across = 1 - (f.x / np.float32(half)) * (f.x / np.float32(half))
        upper, lower = (
            np.float32(top) + np.float32(bend * 0.25) * across,
            np.float32(top) + np.float32(bend + 2.5) * across,
        )
        opening = np.maximum(upper - f.y, f.y - lower) * np.float32(0.8)
        canvas.paint(coverage(opening - np.float32(1.6)), lip, part="mouth")
        canvas.paint(coverage(opening), (0.34, 0.08, 0.10), part="mouth")
        canvas.paint(coverage(within(opening + 0.6, f.y - np.float32(top + bend * 0.25 + 3.2))), (0.98, 0.97, 0.94))
        canvas.paint(coverage(within(ellipse(f, 0, top + bend + 3.5, half * 0.5, 3.6), opening)), (0.86, 0.38, 0.40))
    else:
        line = curve((-half, y - bend * 0.45), (0, y + bend * 0.75), (half, y - bend * 0.45))
        if woman:
            canvas.paint(coverage(stroke(f, [(a * 0.86, b + 1) for a, b in line], 4.6)), lip, part="mouth")
        else:
            canvas.paint(coverage(stroke(f, [(a * 0.62, b + 2.6) for a, b in line], 2), 2.2), shade(skin, 0.74))
        canvas.paint(coverage(stroke(f, line, 1.7)), shade(lip, 0.5), part="mouth")
    if face.beard in ("moustache", "goatee", "full"):
        ends = curve((w * 0.1, y - h * 0.13), (w * 0.36, y - h * 0.12), (w * 0.42, y - h * 0.02))
        shape = join(ellipse(both, w * 0.17, y - h * 0.12, w * 0.2, h * 0.062), stroke(both, ends, 3.2), 2)
        canvas.paint(coverage(shape, 1.5), tint, part="beard")


def _nose(canvas: Canvas, face: Attributes, head: Head, skin: Colour, draws: Draws) -> None:
    f, both, h = head.features, head.both, head.h
    w = {"small": 3.6, "broad": 6.6, "long": 4.6}[face.nose] * draws.between(0.9, 1.1)
    y = h * {"small": 0.20, "broad": 0.24, "long": 0.29}[face.nose]
    canvas.paint(coverage(ellipse(f, w * 0.25, y + 1.2, w * 1.15, 3.4), 4), shade(skin, 0.7), 0.55)
    canvas.paint(coverage(ellipse(f, 0, y, w, 3.6), 2.2), shade(skin, 1.03), 0.8, part="nose")
    bridge = curve((-w * 0.1, -h * 0.1), (w * 0.75, y * 0.5), (w * 0.95, y - 1))
    canvas.paint(coverage(stroke(f, bridge, 1.8), 2.5), shade(skin, 0.74), 0.55)
    canvas.paint(coverage(ellipse(both, w * 0.52, y + 1.9, 1.5, 1.0)), shade(skin, 0.45), 0.9)
    canvas.paint(coverage(ellipse(f, -w * 0.3, y - 1.2, 1.5, 1.1), 2.5), _WHITE, 0.45)


def _eyes(
    canvas: Canvas, face: Attributes, head: Head, skin: Colour, hair: Colour, draws: Draws
) -> tuple[float, float, float]:
    """Eyes and brows. Gives the right one's middle (x, y) and half width, from the middle of the features."""
    u, f, both = draws.between, head.features, head.both
    woman = face.person == "woman"
    x, y = head.w * 0.43 + u(-0.6, 0.6), -head.h * 0.08
    w, h = u(6.0, 7.0), u(3.4, 4.6) * (1.12 if woman else 0.95)
    ball = ellipse(both, x, y, w, h)
    if face.mouth == "grin":
        ball = within(ball, both.y - np.float32(y + h * 0.62))  # cheeks push the lower lid up
    canvas.paint(coverage(ball - np.float32(1.3), 2), shade(skin, 0.78), 0.55)
    canvas.paint(coverage(ball), (0.97, 0.97, 0.96), part="eyes")
    look, iris = {"left": -2.3, "ahead": 0.0, "right": 2.3}[face.gaze], _IRIS[face.eyes]
    for middle in (look - x, look + x):
        canvas.paint(coverage(within(ellipse(f, middle, y, 3.5, 3.6), ball)), shade(iris, 0.75))
        canvas.paint(coverage(within(ellipse(f, middle, y + 0.5, 2.7, 2.7), ball)), shade(iris, 1.2))
        canvas.paint(coverage(within(ellipse(f, middle, y, 1.7, 1.8), ball)), (0.04, 0.03, 0.04))
        canvas.paint(coverage(ellipse(f, middle - 1.2, y - 1.3, 1.0, 1.0)), _WHITE)
    canvas.paint(coverage(within(ball, both.y - np.float32(y - h * 0.35)), 2.2), shade(skin, 0.5), 0.35)
    lid = curve((x - w, y + 0.3), (x, y - h * 2.05), (x + w, y + 0.3))
    canvas.paint(coverage(stroke(both, lid, 2.0 if woman else 1.4)), _DARK if woman else shade(skin, 0.32))
    if woman:
        for lash in range(3):
            root = (x + w * (0.45 + 0.25 * lash), y - h * (0.72 - 0.28 * lash))
            tip = (x + w * (0.75 + 0.3 * lash), y - h * (1.35 - 0.35 * lash))
            canvas.paint(coverage(stroke(both, [root, tip], 1.1)), _DARK)
    tilt = {"level": 0.0, "raised": -1.6, "knitted": 2.6}[face.brows]
    top = y - h - {"level": 4.2, "raised": 6.6, "knitted": 3.4}[face.brows]
    brow = curve((x - w * 0.95, top + tilt), (x, top - 2.6), (x + w * 1.15, top + 1.0 - tilt * 0.5))
    canvas.paint(
        coverage(stroke(both, brow, (1.9 if woman else 3.0) * u(0.9, 1.25)), 1.4), shade(hair, 0.72), part="brows"
    )
    return x, y, w


def _hair_in_front(canvas: Canvas, face: Attributes, head: Head, strands: np.ndarray, draws: Draws) -> None:
    u, p, w, h = draws.between, head.plane, head.w, head.h
    if face.hair == "bald":
        if face.hat == "none":
            canvas.paint(
                coverage(ellipse(p, -w * 0.3, -h * 0.72, w * 0.25, h * 0.1), 7) * coverage(head.shape), _WHITE, 0.35
            )
        return
    line, cap = -h * u(0.50, 0.60), ellipse(p, 0, -h * 0.26, w * 1.10, h * 0.86)
    if face.hair in ("short", "bun"):
        parting = u(-0.5, 0.5) * w
        edge = p.y - np.float32(line) - np.abs(p.x - np.float32(parting)) * np.float32(u(0.10, 0.24))
        temples = within(cap, np.float32(w * 0.86) - np.abs(p.x), p.y + np.float32(h * 0.06))
        shape = join(within(cap, edge), temples, 3)
        if face.hair == "short" and draws.often(0.5):  # tousled
            for tuft in range(7):
                x = (tuft / 3 - 1) * w * 0.8
                shape = join(shape, ellipse(p, x, -h + abs(x) * 0.25, 6, u(4, 8)), 3)
    elif face.hair in ("long", "bob"):
        if face.hair == "bob" or draws.often(0.5):  # down to the brows
            wave = _saw(p.x * np.float32(0.14)) * np.float32(1.5)
            fringe = within(cap, p.y + np.float32(h * u(0.28, 0.36)) - wave)
        else:
            parting = u(-0.35, 0.35) * w
            fringe = within(cap, p.y - np.float32(line - 4) - np.abs(p.x - np.float32(parting)) * np.float32(0.62))
        whole = join(cap, box(p, 0, h * 0.2, w * 1.12, h * 0.7, 12), 5)
        shape = join(fringe, within(whole, np.float32(w * 0.84) - np.abs(p.x)), 3)
    else:
        shape = within(ellipse(p, 0, -h * 0.30, w * 1.14, h * 0.86), p.y - np.float32(line))
        for curl in range(9):
            q = curl / 4 - 1
            radius = u(5.5, 8)
            shape = join(
                shape, ellipse(p, q * w * 0.98, line - (1 - q * q) * 2 + q * q * h * 0.32 - 2, radius, radius), 2
            )
    canvas.paint(coverage(shape), strands, part="hair")


def _glasses(canvas: Canvas, face: Attributes, head: Head, eyes: tuple[float, float, float], draws: Draws) -> None:
    if face.glasses == "none":
        return
    f, both, (x, y, w) = head.features, head.both, eyes
    x, w = x + 0.6, w + 3.0
    dark = face.glasses == "dark"
    frame = (0.07, 0.07, 0.08) if dark else _FRAMES[int(draws.between(0, len(_FRAMES)))]
    lens = (
        ellipse(both, x, y + 0.8, w, w * 0.95)
        if face.glasses == "round"
        else box(both, x, y + 1, w + 0.6, w * 0.72, 3.2)
    )
    canvas.paint(
        coverage(lens), (0.06, 0.07, 0.09) if dark else (0.85, 0.93, 1.0), 0.93 if dark else 0.16, part="glasses"
    )
    for middle in (-x, x):
        glint = within(stroke(f, [(middle - 4, y + 5), (middle + 3, y - 5)], 2.2), lens + 1)
        canvas.paint(coverage(glint), _WHITE, 0.3)
    canvas.paint(coverage(np.abs(lens) - 1), frame, part="glasses")
    canvas.paint(coverage(stroke(f, curve((w - x, y), (0, y - 2.8), (x - w, y)), 1.8)), frame, part="glasses")
    canvas.paint(coverage(stroke(both, [(x + w, y - 0.5), (head.w, y - 2)], 1.8)), frame, part="glasses")


def _hat(canvas: Canvas, face: Attributes, head: Head, draws: Draws) -> None:
    if face.hat == "none":
        return
    u, p, w, h = draws.between, head.plane, head.w, head.h
    brim = -h * 0.52
    colour = shade(tuple(_CLOTH.values())[int(u(0, len(_CLOTH)))], u(0.8, 1.0))
    black = (0.12, 0.12, 0.15)
    cloth = black if face.hat == "top hat" and draws.often(0.6) else colour
    lit = np.float32(1.08) - np.abs(p.x + 8) / np.float32(w * 3.2)
    tone = np.stack([np.clip(np.float32(value) * lit, 0, 1) for value in cloth])
    if face.hat == "cap":
        crown = within(ellipse(p, 0, brim, w * 1.14, h * 0.66), p.y - np.float32(brim + 2))
        canvas.paint(coverage(crown), tone, part="hat")
        canvas.paint(coverage(stroke(p, [(0, brim - h * 0.62), (0, brim)], 1.2)), shade(cloth, 0.72), 0.6)
        side = 1 if draws.often(0.5) else -1
        canvas.paint(coverage(ellipse(p, side * w * 0.42, brim + 2.5, w, h * 0.15)), shade(cloth, 0.72), part="hat")
        canvas.paint(coverage(ellipse(p, 0, brim - h * 0.64, 2.4, 2.0)), shade(cloth, 0.72), part="hat")
    elif face.hat == "beanie":
        crown = within(ellipse(p, 0, brim, w * 1.12, h * 0.74), p.y - np.float32(brim + 2))
        canvas.paint(coverage(crown), tone, part="hat")
        ribs = np.float32(0.7) + np.float32(0.25) * _saw(p.x * np.float32(0.25))
        band = np.stack([np.float32(value) * ribs for value in cloth])
        canvas.paint(coverage(box(p, 0, brim + 0.5, w * 1.14, h * 0.12, 4)), band, part="hat")
        if draws.often(0.5):
            canvas.paint(coverage(ellipse(p, 0, brim - h * 0.78, 7, 7), 2), mix(colour, _WHITE, 0.5), part="hat")
    else:
        ribbon = colour if cloth == black else (0.95, 0.93, 0.88)
        canvas.paint(coverage(box(p, 0, brim - h * 0.38, w * 0.86, h * 0.46, 3)), tone, part="hat")
        canvas.paint(coverage(box(p, 0, brim - h * 0.04, w * 0.87, h * 0.09, 1)), ribbon, part="hat")
        canvas.paint(coverage(ellipse(p, 0, brim + 1.5, w * 1.38, h * 0.11)), shade(cloth, 1.15), part="hat")
