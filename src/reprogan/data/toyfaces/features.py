"""Mouth, beard, nose, eyes and glasses of a toy face: what lies within the window FEATURES."""

import numpy as np

from reprogan.data.toyfaces.attributes import Attributes, Draws
from reprogan.data.toyfaces.colours import DARK, FRAMES, IRIS, WHITE, mix, shade
from reprogan.data.toyfaces.drawing import Canvas, Colour, box, coverage, curve, ellipse, join, stroke, within
from reprogan.data.toyfaces.head import FEATURES, Head


def paint_mouth_and_beard(
    canvas: Canvas, face: Attributes, head: Head, skin: Colour, hair: Colour, strands: np.ndarray, draws: Draws
) -> None:
    """The mouth, and whatever beard there is: on the canvas's window FEATURES, as is all of this file."""
    u, f, both, w, h = draws.between, head.features, head.both, head.w, head.h
    p, skull = head.plane.window(FEATURES), head.shape[FEATURES]
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


def paint_nose(canvas: Canvas, face: Attributes, head: Head, skin: Colour, draws: Draws) -> None:
    """The nose, with its shadow and shine."""
    f, both, h = head.features, head.both, head.h
    w = {"small": 3.6, "broad": 6.6, "long": 4.6}[face.nose] * draws.between(0.9, 1.1)
    y = h * {"small": 0.20, "broad": 0.24, "long": 0.29}[face.nose]
    canvas.paint(coverage(ellipse(f, w * 0.25, y + 1.2, w * 1.15, 3.4), 4), shade(skin, 0.7), 0.55)
    canvas.paint(coverage(ellipse(f, 0, y, w, 3.6), 2.2), shade(skin, 1.03), 0.8, part="nose")
    bridge = curve((-w * 0.1, -h * 0.1), (w * 0.75, y * 0.5), (w * 0.95, y - 1))
    canvas.paint(coverage(stroke(f, bridge, 1.8), 2.5), shade(skin, 0.74), 0.55)
    canvas.paint(coverage(ellipse(both, w * 0.52, y + 1.9, 1.5, 1.0)), shade(skin, 0.45), 0.9)
    canvas.paint(coverage(ellipse(f, -w * 0.3, y - 1.2, 1.5, 1.1), 2.5), WHITE, 0.45)


def paint_eyes(
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
    look, iris = {"left": -2.3, "ahead": 0.0, "right": 2.3}[face.gaze], IRIS[face.eyes]
    for middle in (look - x, look + x):
        canvas.paint(coverage(within(ellipse(f, middle, y, 3.5, 3.6), ball)), shade(iris, 0.75))
        canvas.paint(coverage(within(ellipse(f, middle, y + 0.5, 2.7, 2.7), ball)), shade(iris, 1.2))
        canvas.paint(coverage(within(ellipse(f, middle, y, 1.7, 1.8), ball)), (0.04, 0.03, 0.04))
        canvas.paint(coverage(ellipse(f, middle - 1.2, y - 1.3, 1.0, 1.0)), WHITE)
    canvas.paint(coverage(within(ball, both.y - np.float32(y - h * 0.35)), 2.2), shade(skin, 0.5), 0.35)
    lid = curve((x - w, y + 0.3), (x, y - h * 2.05), (x + w, y + 0.3))
    canvas.paint(coverage(stroke(both, lid, 2.0 if woman else 1.4)), DARK if woman else shade(skin, 0.32))
    if woman:
        for lash in range(3):
            root = (x + w * (0.45 + 0.25 * lash), y - h * (0.72 - 0.28 * lash))
            tip = (x + w * (0.75 + 0.3 * lash), y - h * (1.35 - 0.35 * lash))
            canvas.paint(coverage(stroke(both, [root, tip], 1.1)), DARK)
    tilt = {"level": 0.0, "raised": -1.6, "knitted": 2.6}[face.brows]
    top = y - h - {"level": 4.2, "raised": 6.6, "knitted": 3.4}[face.brows]
    brow = curve((x - w * 0.95, top + tilt), (x, top - 2.6), (x + w * 1.15, top + 1.0 - tilt * 0.5))
    canvas.paint(
        coverage(stroke(both, brow, (1.9 if woman else 3.0) * u(0.9, 1.25)), 1.4), shade(hair, 0.72), part="brows"
    )
    return x, y, w


def paint_glasses(canvas: Canvas, face: Attributes, head: Head, eyes: tuple[float, float, float], draws: Draws) -> None:
    """The glasses, if there are any, round eyes at (x, y) of that half width."""
    if face.glasses == "none":
        return
    f, both, (x, y, w) = head.features, head.both, eyes
    x, w = x + 0.6, w + 3.0
    dark = face.glasses == "dark"
    frame = (0.07, 0.07, 0.08) if dark else FRAMES[int(draws.between(0, len(FRAMES)))]
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
        canvas.paint(coverage(glint), WHITE, 0.3)
    canvas.paint(coverage(np.abs(lens) - 1), frame, part="glasses")
    canvas.paint(coverage(stroke(f, curve((w - x, y), (0, y - 2.8), (x - w, y)), 1.8)), frame, part="glasses")
    canvas.paint(coverage(stroke(both, [(x + w, y - 0.5), (head.w, y - 2)], 1.8)), frame, part="glasses")
