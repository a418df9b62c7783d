"""Tensors to PNG files: grids and the strip that shows training's progress."""

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from reprogan.atomic import atomic_path

_GAP = 2
_PAPER = 127
_CAPTION_HEIGHT = 16


def grid(images: Tensor, columns: int, scale: int = 1) -> Image.Image:
    """uint8 (N, C, H, W), C 1 or 3 => a picture with `columns` images a row, each pixel `scale` pixels wide.

    The layout of torchvision's make_grid, without the two seconds that importing torchvision takes.
    """
    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3).permute(0, 2, 3, 1)
    count, height, width = images.shape[:3]
    columns = min(columns, count)
    rows = -(-count // columns)
    pixels = torch.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, dtype=torch.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + _GAP) + _GAP, column * (width + _GAP) + _GAP
        pixels[top : top + height, left : left + width] = image  # a grey one fills all three channels
    return Image.fromarray(pixels.numpy())


def captioned_row(pictures: list[Image.Image], captions: list[str]) -> Image.Image:
    """Pictures of one size side by side, each with a line of text under it."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + 2 * _GAP), height + _CAPTION_HEIGHT), (_PAPER,) * 3)
    draw = ImageDraw.Draw(row)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = index * (width + 2 * _GAP) + _GAP
        row.paste(picture, (left, 0))
        draw.text((left + width / 2, height + _CAPTION_HEIGHT / 2), caption, fill=(255, 255, 255), anchor="mm")
    return row


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a PNG without time stamps, so that the same picture is the same bytes."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def progress_strip(images: Tensor, images_seen: Tensor, columns: int = 5) -> Image.Image:
    """uint8 (milestones, 64, C, H, W) and int64 (milestones,) => a grid of columns² images a milestone, captioned."""
    shown = images[:, : columns**2]
    grids = [grid(milestone, columns) for milestone in shown]
    return captioned_row(grids, [f"{count:,}" for count in images_seen.tolist()])
