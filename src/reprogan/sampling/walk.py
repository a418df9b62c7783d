"""Walks through the latents: what lies between one generated image and another, and between one class and another."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn

from reprogan.data.batches import as_data
from reprogan.models.latents import classes_of, draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK, generator_of
from reprogan.sampling.pictures import grid
from reprogan.training.randomness import Randomness

_PAIRS = 3
_HALVINGS = 3  # of the way between two latents: 2³ steps
_SHARES = torch.arange(2**_HALVINGS + 1) / 2**_HALVINGS  # of that way
_SIDE_BY_SIDE = 3  # round trips in the moving picture
_STOPS = 4  # of a round trip


@dataclass(frozen=True)
class Walk:
    """A picture of rows from one image to another, and the frames of round trips, all of one size."""

    strip: Image.Image
    frames: list[Image.Image]


@torch.no_grad()
def walk(model: Trained, seed: int, scale: int) -> Walk:
    """Walks between the first images of the sequence that `seed` names (see `generate`), pixels magnified by `scale`.

    Rows in pairs: straight from one latent to the other, and under it on the sphere. A conditional generator adds rows
    from each class to the next, the latent held; all others of its rows are of one class each.
    """
    generator = generator_of(model)
    z = draw_latents(generator, BLOCK, Randomness(seed, torch.device("cpu")).generator("sample", 0))
    classes = classes_of(generator)
    rows = []
    for pair in range(_PAIRS):
        one, other = z[2 * pair], z[2 * pair + 1]
        rows += [_images(generator, path(one, other), pair) for path in (straight, spherical)]
    for pair in range(min(_PAIRS, classes - 1)):
        shares = _SHARES[:, None]
        ends = torch.eye(classes)[[pair, pair + 1]]
        told = (1 - shares) * ends[0] + shares * ends[1]
        rows.append(_images(generator, z[2 * pair].expand(len(told), -1), told))
    trips = []
    for trip in range(_SIDE_BY_SIDE):
        stops = [z[trip * _STOPS + stop] for stop in (*range(_STOPS), 0)]
        latents = torch.cat([spherical(*ends)[:-1] for ends in pairwise(stops)])
        trips.append(_images(generator, latents, trip))
    frames = [grid(torch.stack(frame), _SIDE_BY_SIDE, scale) for frame in zip(*trips, strict=True)]
    return Walk(grid(torch.cat(rows), 2**_HALVINGS + 1, scale), frames)


def straight(one: Tensor, other: Tensor) -> Tensor:
    """Nine latents float32 (9, D) from `one` to `other` (D,) on the line between them, at equal distances."""
    shares = _SHARES[:, None]
    return (1 - shares) * one + shares * other


def spherical(one: Tensor, other: Tensor) -> Tensor:
    """Nine latents float32 (9, D) from `one` to `other` (D,) at equal angles, their lengths between those of the two.

    Most of a normal distribution in many dimensions lies near a sphere, which the straight way leaves (White 2016,
    "Sampling Generative Networks"). The arc is halved time and again, which needs no sine: its bits would differ
    between CPU types. Opposite latents have no arc between them: there the way is straight.
    """
    lengths = [_length(end) for end in (one, other)]
    arc = [end.to(torch.float64) / (length or 1.0) for end, length in zip((one, other), lengths, strict=True)]
    for _ in range(_HALVINGS):
        middles = [before + after for before, after in pairwise(arc)]
        if not all(_length(middle) > 1e-6 for middle in middles):
            return straight(one, other)
        middles = [middle / _length(middle) for middle in middles]
        arc = [step for pair in zip(arc, [*middles, arc[-1]], strict=True) for step in pair][:-1]
    steps = len(arc) - 1
    between = [lengths[0] + (lengths[1] - lengths[0]) * step / steps for step in range(steps + 1)]
    return torch.stack([point * length for point, length in zip(arc, between, strict=True)]).to(torch.float32)


def _length(vector: Tensor) -> float:
    return math.sqrt(math.fsum(value * value for value in vector.tolist()))


def _images(generator: nn.Module, z: Tensor, told: Tensor | int) -> Tensor:
    """uint8 (N, C, H, W) of latents (N, D); `told` is the shares of the classes (N, K), or one class for all."""
    device = next(generator.parameters()).device
    classes = classes_of(generator)
    if not classes:
        return as_data(generator(z.to(device))).cpu()
    if isinstance(told, int):
        told = torch.eye(classes)[told % classes].expand(len(z), -1)
    return as_data(generator(z.to(device), told.to(device))).cpu()
