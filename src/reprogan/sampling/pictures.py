"""Tensors to PNG files: grids, scatter plots and the strip that shows training's progress."""

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from reprogan.atomic import atomic_path

_GAP = 2
_PAPER = 127
_CAPTION_HEIGHT = 16
_SIDE = 480  # of a scatter plot, in pixels
_LOOKED_AT = 1 << 14  # pixels that a palette is chosen from
POINTS_EXTENT = 1.5  # what a plot of generated points shows; those of the ring lie near the unit circle
# Ten colours that differ in hue and in brightness, in turn for more classes.
_COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#882255", "#44aa99", "#555555",
)  # fmt: skip


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


def scatter(points: Tensor, labels: Tensor | None = None, side: int = _SIDE, extent: float = 1.05) -> Image.Image:
    """Points (N, 2), y upwards, within ±`extent`, as dots on white, no others; `labels` int64 (N,) choose colours."""
    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)
    radius = max(1, side // 320)
    colours = [0] * len(points) if labels is None else labels.tolist()
    for (x, y), colour in zip(points.tolist(), colours, strict=True):
        if not (abs(x) <= extent and abs(y) <= extent):
            continue
        column, row = round((1 + x / extent) / 2 * (side - 1)), round((1 - y / extent) / 2 * (side - 1))
        draw.rectangle((column - radius, row - radius, column + radius, row + radius), _COLOURS[colour % len(_COLOURS)])
    return picture


def captioned(pictures: list[Image.Image], captions: list[str], columns: int | None = None) -> Image.Image:
    """Pictures of one size, so many a row (None: all), each with its text under it, in as many lines as it needs."""
    width, height = pictures[0].size
    columns = min(columns or len(pictures), len(pictures))
    texts = [_lines(caption, width) for caption in captions]
    cell = height + _CAPTION_HEIGHT * max(map(len, texts))
    whole = Image.new("RGB", (columns * (width + 2 * _GAP), -(-len(pictures) // columns) * cell), (_PAPER,) * 3)
    draw = ImageDraw.Draw(whole)
    for index, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
        left, top = index % columns * (width + 2 * _GAP) + _GAP, index // columns * cell
        whole.paste(picture, (left, top))
        for number, line in enumerate(lines):
            middle = top + height + _CAPTION_HEIGHT * (number + 0.5)
            draw.text((left + width / 2, middle), line, fill=(255, 255, 255), anchor="mm")
    return whole


def _lines(text: str, width: int) -> list[str]:
    """The words of a text in lines that are no wider than so many pixels, unless a word is; at least one line."""
    measure = ImageDraw.Draw(Image.new("1", (1, 1)))
    lines: list[str] = []
    for word in text.split():
        if lines and measure.textlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a PNG without time stamps, so that the same picture is the same bytes."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def save_gif(frames: Iterable[Image.Image], path: Path, seconds: float, and_back: bool = False) -> None:
    """Write frames of one size as a moving picture that begins anew after `seconds`; equal frames, equal bytes.

    To go there `and_back` it ends with those between the last and the first, backwards.
    """
    colours = [_in_256_colours(frame) for frame in frames]
    if and_back:
        colours += colours[-2:0:-1]
    with atomic_path(path) as temporary:
        colours[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=colours[1:],
            duration=round(1000 * seconds / len(colours)),
            loop=0,
            optimize=False,
        )


def _in_256_colours(picture: Image.Image) -> Image.Image:
    """`picture` with a palette; that of a large one is chosen from some of its pixels: several times as fast."""
    step = math.ceil(math.sqrt(picture.width * picture.height / _LOOKED_AT))
    if step == 1:
        return picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    some = picture.resize((picture.width // step, picture.height // step), Image.Resampling.NEAREST)
    return picture.quantize(palette=some.quantize(256, Image.Quantize.MEDIANCUT), dither=Image.Dither.NONE)


def progress_strip(images: Tensor, images_seen: Tensor, columns: int = 5) -> Image.Image:
    """What training drew at each milestone, captioned with the images seen, int64 (milestones,).

    uint8 (milestones, n, C, H, W) => a grid of columns² images each; points (milestones, n, 2, 1, 1) => a scatter plot.
    """
    if images.dtype == torch.float32:
        pictures = [scatter(points.flatten(1), side=_SIDE // 3, extent=POINTS_EXTENT) for points in images]
    else:
        columns = min(columns, math.isqrt(images.shape[1]))
        pictures = [grid(milestone, columns) for milestone in images[:, : columns**2]]
    return captioned(pictures, [f"{count:,}" for count in images_seen.tolist()])
