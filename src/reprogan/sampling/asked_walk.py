"""A walk that a person asks for: from one image of a seed to another, between two classes or between two captions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reprogan.errors import UserError
from reprogan.models.latents import classes_of, draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.asked import Asked, label_of, read_prompt
from reprogan.sampling.captioned import caption_features
from reprogan.sampling.generate import BLOCK, generate, generator_of
from reprogan.sampling.walk import images_of, spherical, straight
from reprogan.training.randomness import Randomness


@dataclass(frozen=True)
class Way:
    """A walk of N images: their latents (N, D), and what each is told, (N, K), if anything.

    `ends` are what `generate` is asked for the first and the last; `unknown` are words that the model does not know.
    """

    z: Tensor
    condition: Tensor | None
    ends: tuple[dict[str, Any], dict[str, Any]]
    unknown: list[str]


def find_way(model: Trained, asked: Asked) -> Way:
    """The walk "A:B" of `asked.count` images.

    A generator that is told something goes from one such thing to the other, straight, the latent that of the seed's
    first image: A and B are names of classes, or captions. One that is told nothing, and one whose class or caption is
    asked for, goes from image A of the seed's sequence to image B, on the sphere. Raises UserError for other A and B.
    """
    generator = generator_of(model)
    if getattr(generator, "reads", None) == "captions" and asked.text is None:
        return _between_captions(model, asked)
    if classes_of(generator) and asked.class_ is None:
        return _between_classes(model, asked)
    return _between_images(model, asked)


@torch.no_grad()
def walked(model: Trained, seed: int, way: Way) -> Iterator[Tensor]:
    """The images on the way, uint8 (<= 100, C, H, W) at a time, or points; those at its ends as `generate` has them."""
    generator = generator_of(model)
    first, last = (next(generate(model, 1, seed, **end)) for end in way.ends)
    yield first
    for start in range(1, len(way.z) - 1, BLOCK):
        of_block = slice(start, min(start + BLOCK, len(way.z) - 1))
        yield images_of(generator, way.z[of_block], None if way.condition is None else way.condition[of_block])
    yield last


def _between_captions(model: Trained, asked: Asked) -> Way:
    prompts = [read_prompt(model, text) for text in _ends(model, asked, "captions", "a man:a woman in a red hat")]
    one, other = (caption_features(model, prompt.tokens)[0] for prompt in prompts)
    unknown = list(dict.fromkeys(word for prompt in prompts for word in prompt.unknown))
    return Way(
        _latent(model, asked.seed, 0).expand(asked.count, -1),
        straight(one, other, asked.count - 1),
        ({"told": prompts[0].tokens}, {"told": prompts[1].tokens}),
        unknown,
    )


def _between_classes(model: Trained, asked: Asked) -> Way:
    known = model.description.classes
    names = _ends(model, asked, "names of classes", f"{known[0]}:{known[-1]}", known)
    labels = [label_of(model, name) for name in names]
    one, other = torch.eye(len(known))[labels]
    return Way(
        _latent(model, asked.seed, 0).expand(asked.count, -1),
        straight(one, other, asked.count - 1),
        ({"label": labels[0]}, {"label": labels[1]}),
        [],
    )


def _between_images(model: Trained, asked: Asked) -> Way:
    one, other = (_number(model, asked, end) for end in _ends(model, asked, "numbers of images, from 0 on,", "3:7"))
    z = spherical(_latent(model, asked.seed, one), _latent(model, asked.seed, other), asked.count - 1)
    held: dict[str, Any] = {}
    condition: Tensor | None = None
    unknown: list[str] = []
    if asked.class_ is not None:
        held["label"] = label_of(model, asked.class_)
        condition = torch.eye(len(model.description.classes))[[held["label"]]]
    if asked.text is not None:
        prompt = read_prompt(model, asked.text)
        held["told"], unknown = prompt.tokens, prompt.unknown
        condition = caption_features(model, prompt.tokens)
    if condition is not None:
        condition = condition.expand(asked.count, -1)
    return Way(z, condition, ({"first": one, **held}, {"first": other, **held}), unknown)


def _ends(model: Trained, asked: Asked, what: str, example: str, known: tuple[str, ...] = ()) -> tuple[str, str]:
    """A and B of "A:B"; of several colons that is meant which stands between two `known` names."""
    walk = asked.walk or ""
    pairs = [(walk[:at].strip(), walk[at + 1 :].strip()) for at, sign in enumerate(walk) if sign == ":"]
    pairs = [pair for pair in pairs if set(pair) <= set(known)] or pairs
    if len(pairs) != 1:
        raise UserError(
            f"{model.description.variant}: --walk {walk!r}: found {walk.count(':')} colons; expected two {what} with "
            f"one colon between, such as {example}"
        )
    return pairs[0]


def _number(model: Trained, asked: Asked, end: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", end):
        raise UserError(
            f"{model.description.variant}: --walk {asked.walk!r}: found {end!r}; expected two numbers of images, from "
            "0 on, such as 3:7"
        )
    return int(end)


def _latent(model: Trained, seed: int, image: int) -> Tensor:
    """The latent (D,) of that image of the sequence that `seed` names (see `generate`)."""
    source = Randomness(seed, torch.device("cpu")).generator("sample", image // BLOCK)
    return draw_latents(generator_of(model), BLOCK, source)[image % BLOCK]
