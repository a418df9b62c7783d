"""Tensors to PNG files: grids and the strip that shows training's progress."""

from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from reprogan.atomic import atomic_path

_GAP = 2
_CAPTION_HEIGHT = 16


def grid(images: Tensor, columns: int, scale: int = 1) -> Image.Image:
    """uint8 (N, C, H, W), C 1 or 3 => a picture with `columns` images a row, each pixel `scale` pixels wide."""
    from torchvision.utils import make_grid  # a second and a half to import

    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    pixels = make_grid(images, nrow=columns, padding=_GAP, pad_value=127)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def captioned_row(pictures: list[Image.Image], captions: list[str]) -> Image.Image:
    """Pictures of one size side by side, each with a line of text under it."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + 2 * _GAP), height + _CAPTION_HEIGHT), (127, 127, 127))
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
