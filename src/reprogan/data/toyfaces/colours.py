"""The colours of toy faces, by the names that attributes and captions give them."""

from reprogan.data.toyfaces.drawing import Colour

SKIN: dict[str, Colour] = {
    "pale": (0.98, 0.87, 0.79),
    "light": (0.94, 0.77, 0.64),
    "tan": (0.82, 0.62, 0.46),
    "brown": (0.62, 0.42, 0.29),
    "dark": (0.40, 0.26, 0.19),
}
HAIR: dict[str, Colour] = {
    "black": (0.10, 0.09, 0.11),
    "brown": (0.33, 0.20, 0.12),
    "red": (0.66, 0.26, 0.10),
    "blond": (0.88, 0.72, 0.40),
    "grey": (0.58, 0.58, 0.60),
    "white": (0.84, 0.83, 0.81),
    "blue": (0.22, 0.40, 0.75),
    "pink": (0.93, 0.47, 0.66),
}
IRIS: dict[str, Colour] = {
    "brown": (0.36, 0.22, 0.12),
    "blue": (0.27, 0.52, 0.80),
    "green": (0.28, 0.58, 0.36),
    "grey": (0.50, 0.55, 0.60),
}
CLOTH: dict[str, Colour] = {
    "red": (0.80, 0.22, 0.22),
    "blue": (0.23, 0.38, 0.72),
    "green": (0.24, 0.55, 0.36),
    "yellow": (0.93, 0.76, 0.26),
    "purple": (0.50, 0.32, 0.66),
    "orange": (0.92, 0.52, 0.20),
    "grey": (0.45, 0.48, 0.52),
    "white": (0.93, 0.93, 0.91),
}
BACKGROUND: dict[str, Colour] = {
    "blue": (0.62, 0.78, 0.92),
    "green": (0.68, 0.86, 0.68),
    "yellow": (0.97, 0.89, 0.62),
    "pink": (0.97, 0.76, 0.80),
    "purple": (0.80, 0.74, 0.92),
    "grey": (0.82, 0.83, 0.85),
    "orange": (0.98, 0.80, 0.60),
}
FRAMES: tuple[Colour, ...] = ((0.12, 0.12, 0.14), (0.45, 0.20, 0.12), (0.70, 0.58, 0.25), (0.55, 0.10, 0.15))
WHITE: Colour = (1.0, 1.0, 1.0)
DARK: Colour = (0.13, 0.09, 0.08)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """a where `share` is 0, b where it is 1."""
    return tuple((1 - share) * x + share * y for x, y in zip(a, b, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter above."""
    return tuple(min(1.0, max(0.0, value * factor)) for value in colour)
