"""Where a generator with self-attention looks: maps for chosen points of its images."""

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK, generate, generator_of
from reprogan.sampling.pictures import captioned, grid
from reprogan.training.randomness import Randomness

_IMAGES = 6
_POINTS = ((0.35, 0.5), (0.5, 0.5), (0.65, 0.5), (0.1, 0.1))  # of height and width: three on a digit, one beside it
_MARK = torch.tensor([255, 60, 40], dtype=torch.uint8)


def has_attention(model: Trained) -> bool:
    """Whether the model's generator has attention layers."""
    generator = model.networks.get("generator")
    return generator is not None and bool(getattr(generator, "attends", False))


@torch.no_grad()
def attention_picture(model: Trained, seed: int) -> Image.Image:
    """A block of rows a layer: an image with a point marked, and beside it how much that point attends to each place.

    The images are the first of `seed`'s sequence; a map is scaled to its largest weight.
    """
    generator = generator_of(model)
    device = next(generator.parameters()).device
    images = torch.cat(list(generate(model, _IMAGES, seed)))
    source = Randomness(seed, torch.device("cpu")).generator("sample", 0)
    z = draw_latents(generator, BLOCK, source)[:_IMAGES].to(device)  # as `generate` draws them
    pictures, captions = [], []
    for attention in generator.attention_maps(z):  # type: ignore[operator]
        side = round(attention.shape[1] ** 0.5)
        pictures.append(grid(_tiles(images, attention.cpu(), side), 2 * len(_POINTS)))
        captions.append(f"{side} x {side} positions")
    return captioned(pictures, captions)


def _tiles(images: Tensor, attention: Tensor, side: int) -> Tensor:
    """uint8 (images · points · 2, 3, H, W): each image with a point marked, then the map of that point."""
    size = images.shape[2]
    tiles = []
    for image, maps in zip(images, attention, strict=True):
        for down, right in _POINTS:
            row, column = int(down * side), int(right * side)
            weights = maps[row * side + column].view(1, 1, side, side)
            heat = interpolate(weights / weights.max(), size=(size, size), mode="nearest")[0]
            marked = image.expand(3, size, size).clone()
            top, left = row * size // side, column * size // side
            width = max(size // side, 2)
            marked[:, top : top + width, left : left + width] = _MARK[:, None, None]
            tiles += [marked, (heat * 255).to(torch.uint8).expand(3, size, size)]
    return torch.stack(tiles)
