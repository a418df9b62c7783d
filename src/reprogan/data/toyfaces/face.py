"""One toy face, drawn from its attributes: from the background forward, part by part."""

import numpy as np

from reprogan.data.toyfaces.attributes import Attributes, Draws
from reprogan.data.toyfaces.colours import BACKGROUND, CLOTH, HAIR, SKIN, WHITE, mix, shade
from reprogan.data.toyfaces.drawing import Canvas, Colour, box, coverage, ellipse, join, stroke, within
from reprogan.data.toyfaces.features import paint_eyes, paint_glasses, paint_mouth_and_beard, paint_nose
from reprogan.data.toyfaces.hair import draw_strands, paint_hair_behind, paint_hair_in_front, paint_hat
from reprogan.data.toyfaces.head import FEATURES, SIZE, WHOLE, Head, place_head

PARTS = ("background", "clothes", "skin", "hair", "eyes", "brows", "nose", "mouth", "beard", "glasses", "hat")
"""What a pixel may show, in the order of the codes of `Canvas.parts`."""


def draw(face: Attributes, seed: int, index: int) -> Canvas:
    """The face; what its attributes leave open is drawn from (seed, index)."""
    draws = Draws(seed, 2, index)
    u = draws.between
    canvas = Canvas.square(SIZE, PARTS)
    skin = tuple(min(1.0, max(0.0, value + u(-0.02, 0.02))) for value in SKIN[face.skin])
    hair = shade(HAIR[face.hair_colour], u(0.9, 1.1))
    head = place_head(face, draws)
    strands = draw_strands(head.plane, hair, draws)
    _background(canvas, face, draws)
    paint_hair_behind(canvas, face, head, strands, draws)
    _shoulders(canvas, face, head, skin, draws)
    _skull(canvas, face, head, skin, draws)
    features = canvas.window(FEATURES)
    paint_mouth_and_beard(features, face, head, skin, hair, strands[:, *FEATURES], draws)
    paint_nose(features, face, head, skin, draws)
    eyes = paint_eyes(features, face, head, skin, hair, draws)
    paint_hair_in_front(canvas, face, head, strands, draws)
    paint_glasses(features, face, head, eyes, draws)
    paint_hat(canvas, face, head, draws)
    return canvas


def _background(canvas: Canvas, face: Attributes, draws: Draws) -> None:
    u = draws.between
    colour = BACKGROUND[face.background]
    top, bottom = shade(colour, u(1.0, 1.08)), shade(colour, u(0.78, 0.9))
    down = WHOLE.y / np.float32(SIZE)
    for plane, above, below in zip(canvas.pixels, top, bottom, strict=True):
        plane[:] = np.float32(above) + np.float32(below - above) * down
    if face.pattern == "glow":
        canvas.paint(coverage(ellipse(WHOLE, 64, 58, 40, 40), 50), mix(colour, WHITE, 0.75), 0.8)
    if face.pattern == "spots":
        for _ in range(9):
            radius = u(4, 12)
            spot = ellipse(WHOLE, u(0, SIZE), u(0, SIZE), radius, radius)
            canvas.paint(coverage(spot, 2.5), mix(colour, WHITE, 0.6), u(0.25, 0.6))


def _shoulders(canvas: Canvas, face: Attributes, head: Head, skin: Colour, draws: Draws) -> None:
    u, w, h = draws.between, head.w, head.h
    woman = face.person == "woman"
    cloth = shade(CLOTH[face.clothes], u(0.9, 1.05))
    middle = head.x * 0.8 + 12.8  # between the head's and the picture's
    chest = WHOLE.about(head.x * 0.5 + 32, SIZE)
    half = u(44, 52) * (0.94 if woman else 1.08)
    torso = join(ellipse(chest, 0, 8, half, u(30, 35)), box(chest, 0, 14, half * 0.9, 14, 4), 10)
    neck = box(WHOLE, middle, head.y + h * 1.15, w * (0.42 if woman else 0.54), h * 0.8, 7)
    canvas.paint(coverage(neck), shade(skin, 0.72), part="skin")
    canvas.paint(
        coverage(ellipse(WHOLE, middle, head.y + h * 1.02, w * 0.8, h * 0.22), 14) * coverage(neck),
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
