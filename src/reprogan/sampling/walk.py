"""Walks through the latents: what lies between one generated image and another, and between one class and another."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn

from reprogan.data.batches import as_data
from reprogan.models.latents import classes_of, draw_latents, told
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK, generator_of
from reprogan.sampling.pictures import grid
from reprogan.training.randomness import Randomness

ROUND_TRIP = 4.0  # seconds of the moving picture
STEPS = 8  # of the way between two latents
_PAIRS = 3
_FINEST = 256  # parts of an arc: between two points of it a line is as good, to 1 part in 50,000
_SIDE_BY_SIDE = 3  # round trips in the moving picture
_STOPS = 4  # of a round trip


@dataclass(frozen=True)
class Walk:
    """A picture of rows from one image to another, and the frames of round trips, all of one size."""

    strip: Image.Image
    frames: list[Image.Image]


@torch.no_grad()
def walk(model: Trained, seed: int, scale: int, captions: Tensor | None = None) -> Walk:
    """Walks between the first images of the sequence that `seed` names (see `generate`), pixels magnified by `scale`.

    Rows in pairs: straight from one latent to the other, and under it on the sphere. A conditional generator adds rows
    from each class to the next, the latent held; all others of its rows are of one class each. Instead of classes, one
    that reads captions is given the features float32 (M, D) of some.
    """
    generator = generator_of(model)
    z = draw_latents(generator, BLOCK, Randomness(seed, torch.device("cpu")).generator("sample", 0))
    ends = torch.eye(classes_of(generator)) if captions is None else captions
    rows = []
    for pair in range(_PAIRS):
        one, other = z[2 * pair], z[2 * pair + 1]
        rows += [images_of(generator, path(one, other), _end(ends, pair)) for path in (straight, spherical)]
    for pair in range(min(_PAIRS, len(ends) - 1)):
        rows.append(images_of(generator, z[2 * pair].expand(STEPS + 1, -1), straight(ends[pair], ends[pair + 1])))
    trips = []
    for trip in range(_SIDE_BY_SIDE):
        stops = [z[trip * _STOPS + stop] for stop in (*range(_STOPS), 0)]
        latents = torch.cat([spherical(*ends)[:-1] for ends in pairwise(stops)])
        trips.append(images_of(generator, latents, _end(ends, trip)))
    frames = [grid(torch.stack(frame), _SIDE_BY_SIDE, scale) for frame in zip(*trips, strict=True)]
    return Walk(grid(torch.cat(rows), STEPS + 1, scale), frames)


def straight(one: Tensor, other: Tensor, steps: int = STEPS) -> Tensor:
    """Latents float32 (steps + 1, D) from `one` to `other` (D,) on the line between them, at equal distances."""
    shares = (torch.arange(steps + 1) / steps)[:, None]
    return (1 - shares) * one + shares * other


def spherical(one: Tensor, other: Tensor, steps: int = STEPS) -> Tensor:
    """Latents float32 (steps + 1, D) from `one` to `other` (D,) at equal angles, lengths between those of the two.

    Most of a normal distribution in many dimensions lies near a sphere, which the straight way leaves (White 2016,
    "Sampling Generative Networks"). The arc is halved time and again, which needs no sine: its bits would differ
    between CPU types. Opposite latents have no arc between them: there the way is straight.
    """
    lengths = [_length(end) for end in (one, other)]
    arc = [end.to(torch.float64) / (length or 1.0) for end, length in zip((one, other), lengths, strict=True)]
    while (len(arc) - 1) % steps and len(arc) <= _FINEST:
        middles = [before + after for before, after in pairwise(arc)]
        if not all(_length(middle) > 1e-6 for middle in middles):
            return straight(one, other, steps)
        middles = [middle / _length(middle) for middle in middles]
        arc = [step for pair in zip(arc, [*middles, arc[-1]], strict=True) for step in pair][:-1]
    between = [lengths[0] + (lengths[1] - lengths[0]) * step / steps for step in range(steps + 1)]
    points = [_on(arc, step, steps) * length for step, length in enumerate(between)]
    return torch.stack(points).to(torch.float32)


def _on(arc: list[Tensor], step: int, steps: int) -> Tensor:
    """What lies at `step` of `steps` on the way along the points of an arc."""
    place, rest = divmod(step * (len(arc) - 1), steps)
    return arc[place] * (1 - rest / steps) + arc[place + 1] * (rest / steps) if rest else arc[place]


def _length(vector: Tensor) -> float:
    return math.sqrt(math.fsum(value * value for value in vector.tolist()))


def _end(ends: Tensor, index: int) -> Tensor | None:
    """One of `ends`, (1, K), in turn; None if there are none."""
    return ends[[index % len(ends)]] if len(ends) else None


def images_of(generator: nn.Module, z: Tensor, condition: Tensor | None) -> Tensor:
    """uint8 (N, C, H, W) of latents (N, D); `condition` is what each is told, (N, K), or all of them, (1, K)."""
    device = next(generator.parameters()).device
    if condition is not None:
        condition = condition.expand(len(z), -1).to(device)
    return as_data(told(generator, z.to(device), condition)).cpu()
