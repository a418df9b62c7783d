"""What a toy face looks like, in words: attributes drawn from a seed, and captions made of them."""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from reprogan.data.toyfaces.colours import BACKGROUND, CLOTH, HAIR, IRIS, SKIN


class Draws:
    """The random choices of one thing about one face: a function of (seed, purpose, index) alone."""

    def __init__(self, seed: int, purpose: int, index: int) -> None:
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, index])))

    def between(self, low: float, high: float) -> float:
        """A number from low to high, each as likely."""
        return low + (high - low) * float(self._random.random())

    def choose(self, options: tuple[str, ...], odds: tuple[float, ...] | None = None) -> str:
        """One of the options, each as likely or by its odds."""
        odds = odds or (1.0,) * len(options)
        point = self.between(0.0, sum(odds))
        for option, width in zip(options, odds, strict=True):
            if point < width:
                return option
            point -= width
        return options[-1]

    def often(self, share: float) -> bool:
        """True in this share of cases."""
        return self.between(0.0, 1.0) < share


@dataclass(frozen=True)
class Attributes:
    """A face in words. `OPTIONS` has what each may be, in the order of the codes in a data set."""

    person: str
    skin: str
    head: str
    hair: str
    hair_colour: str
    eyes: str
    gaze: str
    brows: str
    nose: str
    mouth: str
    glasses: str
    beard: str
    hat: str
    clothes: str
    background: str
    pattern: str

    OPTIONS: ClassVar[dict[str, tuple[str, ...]]] = {
        "person": ("woman", "man"),
        "skin": tuple(SKIN),
        "head": ("round", "oval", "long", "square"),
        "hair": ("bald", "short", "bob", "long", "curly", "bun"),
        "hair_colour": tuple(HAIR),
        "eyes": tuple(IRIS),
        "gaze": ("left", "ahead", "right"),
        "brows": ("level", "raised", "knitted"),
        "nose": ("small", "broad", "long"),
        "mouth": ("frown", "straight", "smile", "grin"),
        "glasses": ("none", "round", "square", "dark"),
        "beard": ("none", "stubble", "moustache", "goatee", "full"),
        "hat": ("none", "cap", "beanie", "top hat"),
        "clothes": tuple(CLOTH),
        "background": tuple(BACKGROUND),
        "pattern": ("plain", "glow", "spots"),
    }

    def codes(self) -> list[int]:
        """The index of each attribute in its options, in their order."""
        return [self.OPTIONS[field.name].index(getattr(self, field.name)) for field in fields(self)]


_ODDS: dict[str, tuple[float, ...]] = {
    "hair_colour": (5, 6, 3, 5, 2, 1.5, 0.7, 0.7),
    "gaze": (1, 3, 1),
    "mouth": (1, 1.3, 2.5, 2.2),
    "glasses": (5, 1.5, 1.2, 0.7),
    "hat": (7, 1, 1, 0.6),
    "pattern": (1, 2, 1),
}
_ODDS_OF_A: dict[str, dict[str, tuple[float, ...]]] = {
    "woman": {"hair": (0.2, 1.2, 2, 3.5, 2, 1.5), "beard": (1, 0, 0, 0, 0)},
    "man": {"hair": (1.4, 5, 0.4, 0.6, 1.6, 0.2), "beard": (5, 1.5, 1, 1, 1.8)},
}


def draw_attributes(seed: int, index: int) -> Attributes:
    """The attributes of face `index`."""
    draws = Draws(seed, 0, index)
    chosen: dict[str, str] = {}
    for name, options in Attributes.OPTIONS.items():
        odds = _ODDS.get(name) or _ODDS_OF_A.get(chosen.get("person", ""), {}).get(name)
        chosen[name] = draws.choose(options, odds)
    return Attributes(**chosen)


def caption(face: Attributes, seed: int, index: int) -> tuple[str, set[str]]:
    """One English sentence without a full stop that tells some of what is to be seen, and the attributes that it tells.

    Its wording varies.
    """
    draws = Draws(seed, 1, index)
    named = {"person"}
    mood = {
        "frown": ("frowning", "sad"),
        "straight": ("serious", "calm"),
        "smile": ("smiling", "happy"),
        "grin": ("grinning", "laughing"),
    }
    adjective = draws.choose(mood[face.mouth])
    person = draws.choose({"woman": ("woman", "lady"), "man": ("man", "guy")}[face.person], (3, 1))
    subject = person
    if draws.often(0.8):
        subject = f"{adjective} {person}"
        named.add("mouth")

    hair, of_hair = _hair(face, draws)
    has = [hair]
    named |= of_hair
    if face.beard != "none":
        named.add("beard")
        has.append(
            {
                "stubble": "stubble",
                "moustache": "a moustache",
                "goatee": "a goatee",
                "full": draws.choose(("a full beard", "a beard")),
            }[face.beard]
        )
    if face.glasses == "none" and draws.often(0.35):
        named.add("eyes")
        has.append(f"{face.eyes} eyes")
    wears = []
    if face.glasses != "none":
        named.add("glasses")
        wears.append(
            {
                "round": "round glasses",
                "square": "square glasses",
                "dark": draws.choose(("sunglasses", "dark glasses")),
            }[face.glasses]
        )
    if face.hat != "none":
        named.add("hat")
        wears.append(f"a {face.hat}")
    if draws.often(0.4):
        named.add("clothes")
        wears.append(f"{_a(face.clothes)} shirt")

    parts = [_a(subject)]
    if wears and draws.often(0.5):
        parts += [f"with {_and(has)}", f"wearing {_and(wears)}"]
    else:
        parts.append(f"with {_and(has + wears)}")
    if face.gaze != "ahead" and draws.often(0.4):
        named.add("gaze")
        parts.append(f"looking to the {face.gaze}")
    if draws.often(0.25):
        named.add("background")
        parts.append(f"on {_a(face.background)} background")
    start = draws.choose(("", "a portrait of ", "a picture of "), (4, 1, 1))
    return start + " ".join(parts), named


def _hair(face: Attributes, draws: Draws) -> tuple[str, set[str]]:
    """Words for the hair, and the attributes that they tell."""
    if face.hair == "bald":
        return draws.choose(("a bald head", "no hair"), (2, 1)), {"hair"}
    both = {"hair", "hair_colour"}
    if face.hair == "bun":
        return f"{face.hair_colour} hair in a bun", both
    if face.hair == "bob":
        return f"a {face.hair_colour} bob", both
    full, short = f"{face.hair} {face.hair_colour} hair", f"{face.hair_colour} hair"
    chosen = draws.choose((full, short), (4, 1))
    return chosen, both if chosen == full else {"hair_colour"}


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _and(things: list[str]) -> str:
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)
