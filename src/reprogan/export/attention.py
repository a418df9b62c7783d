"""Where each point of some images looks, for a page on which a reader chooses the point."""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK, generate, generator_of
from reprogan.training.randomness import Randomness

IMAGES = 3
_SHADES = 16  # of a map; a reader sees no more


@dataclass(frozen=True)
class Attention:
    """`images`, side by side, and of each layer its positions a side and a picture of maps.

    A row of that picture is a position of an image, row by row, image after image; a column is a position it looks at;
    bright is much, relative to the most that this position gives to any.
    """

    images: Image.Image
    layers: dict[int, Image.Image]


@torch.no_grad()
def attention_of(model: Trained, seed: int) -> Attention:
    """The first IMAGES images of `seed`'s sequence, and the maps of all of their points."""
    generator = generator_of(model)
    images = torch.cat(list(generate(model, IMAGES, seed)))
    source = Randomness(seed, torch.device("cpu")).generator("sample", 0)
    z = draw_latents(generator, BLOCK, source)[:IMAGES]  # as `generate` draws them
    layers = {}
    for maps in generator.attention_maps(z):  # type: ignore[operator]
        relative = maps / maps.amax(2, keepdim=True)
        shades = (relative * (_SHADES - 1)).round() * (255 // (_SHADES - 1))
        layers[round(maps.shape[1] ** 0.5)] = _grey(shades.to(torch.uint8).flatten(0, 1))
    return Attention(_beside(images), layers)


def _grey(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.cpu().numpy())


def _beside(images: Tensor) -> Image.Image:
    """uint8 (N, C, H, W) => one picture, (H, N · W)."""
    row = torch.cat(list(images), 2)
    return _grey(row[0]) if len(row) == 1 else Image.fromarray(row.permute(1, 2, 0).contiguous().cpu().numpy())
