"""Hair and hats of a toy face."""

import numpy as np

from reprogan.data.toyfaces.attributes import Attributes, Draws
from reprogan.data.toyfaces.colours import CLOTH, WHITE, mix, shade
from reprogan.data.toyfaces.drawing import Canvas, Colour, Plane, box, coverage, ellipse, join, stroke, within
from reprogan.data.toyfaces.head import Head


def draw_strands(plane: Plane, colour: Colour, draws: Draws) -> np.ndarray:
    """Hair's colour at each pixel, with darker and lighter strands and a band of shine, (3, H, W)."""
    fine = draws.between(0.55, 0.8)
    slant = draws.between(0.05, 0.16)
    tone = 0.88 + 0.16 * saw(plane.x * np.float32(fine) + plane.y * np.float32(slant))
    tone += 0.10 * saw(plane.x * np.float32(2.7 * fine) - plane.y * np.float32(0.1))
    from_band = (plane.y + 24) / np.float32(9)
    shine = np.maximum(1 - from_band * from_band, 0) * np.float32(0.16)
    return np.stack([np.clip(np.float32(value) * (tone + shine) + shine * np.float32(0.1), 0, 1) for value in colour])


def saw(x: np.ndarray) -> np.ndarray:
    """0 to 1 and back over each whole number."""
    return np.abs(x - np.floor(x) - np.float32(0.5)) * np.float32(2)


def paint_hair_behind(canvas: Canvas, face: Attributes, head: Head, strands: np.ndarray, draws: Draws) -> None:
    """What of the hair lies behind head and shoulders."""
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


def paint_hair_in_front(canvas: Canvas, face: Attributes, head: Head, strands: np.ndarray, draws: Draws) -> None:
    """What of the hair lies over the forehead; the shine of a bald head."""
    u, p, w, h = draws.between, head.plane, head.w, head.h
    if face.hair == "bald":
        if face.hat == "none":
            canvas.paint(
                coverage(ellipse(p, -w * 0.3, -h * 0.72, w * 0.25, h * 0.1), 7) * coverage(head.shape), WHITE, 0.35
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
            wave = saw(p.x * np.float32(0.14)) * np.float32(1.5)
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


def paint_hat(canvas: Canvas, face: Attributes, head: Head, draws: Draws) -> None:
    """The hat, if there is one."""
    if face.hat == "none":
        return
    u, p, w, h = draws.between, head.plane, head.w, head.h
    brim = -h * 0.52
    colour = shade(tuple(CLOTH.values())[int(u(0, len(CLOTH)))], u(0.8, 1.0))
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
        ribs = np.float32(0.7) + np.float32(0.25) * saw(p.x * np.float32(0.25))
        band = np.stack([np.float32(value) * ribs for value in cloth])
        canvas.paint(coverage(box(p, 0, brim + 0.5, w * 1.14, h * 0.12, 4)), band, part="hat")
        if draws.often(0.5):
            canvas.paint(coverage(ellipse(p, 0, brim - h * 0.78, 7, 7), 2), mix(colour, WHITE, 0.5), part="hat")
    else:
        ribbon = colour if cloth == black else (0.95, 0.93, 0.88)
        canvas.paint(coverage(box(p, 0, brim - h * 0.38, w * 0.86, h * 0.46, 3)), tone, part="hat")
        canvas.paint(coverage(box(p, 0, brim - h * 0.04, w * 0.87, h * 0.09, 1)), ribbon, part="hat")
        canvas.paint(coverage(ellipse(p, 0, brim + 1.5, w * 1.38, h * 0.11)), shade(cloth, 1.15), part="hat")
