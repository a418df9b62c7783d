"""What a person asked a model for, as a file: a picture, a moving one or HDF5, as its name ends."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.data.hdf5 import POINT
from reprogan.errors import UserError
from reprogan.models.latents import labels_in_turn
from reprogan.models.trained import Trained
from reprogan.progress import tracked
from reprogan.sampling.asked import Asked, check, label_of, read_picture, read_prompt
from reprogan.sampling.asked_walk import find_way, walked
from reprogan.sampling.generate import generate, generator_of, stream
from reprogan.sampling.pictures import POINTS_EXTENT, grid, save_gif, save_png, scatter
from reprogan.sampling.walk import ROUND_TRIP

_MAGNIFIED = 48  # images with longer sides are shown as they are
_STILL_SECONDS = 0.5  # of an image in a moving picture
_LEAST_SECONDS = 0.04  # of a walk's
_ENDINGS = (".png", ".gif", ".h5")


@dataclass(frozen=True)
class _Drawing:
    """Images as they are drawn, uint8 (<= 100, C, H, W) at a time; the classes (N,) that they are asked for, if any.

    `source`, uint8 (C, H, W), is what they are translations of; `said` are lines for the person who asked.
    """

    blocks: Iterator[Tensor]
    asked_for: Tensor | None
    source: Tensor | None
    said: list[str]


def write_answer(model: Trained, asked: Asked, out: Path) -> list[str]:
    """Draw what is asked for into the file `out`, whole or not at all; give lines that say what came of it.

    A name in .png: all images in one picture, points as a scatter plot. In .gif: one after another, a walk there and
    back. Of a picture to translate, that comes first in both. In .h5: `images`, uint8 (N, C, H, W), and of a
    conditional model `asked_for`, int64 (N,), the class of each, as in `samples/`; a walk from class to class has none.
    Raises UserError for another name, and for what the model does not read, lacks or does not know.
    """
    kind, name = out.suffix.lower(), model.description.variant
    points = model.description.image_shape == POINT
    endings = [ending for ending in _ENDINGS if not (points and ending == ".gif")]
    if kind not in endings:
        why = f"{name} draws points; " if points else ""
        raise UserError(f"{out}: {why}expected a name that ends in {', '.join(endings[:-1])} or {endings[-1]}")
    drawing = _draw(model, asked)
    try:
        {".png": _write_png, ".gif": _write_gif, ".h5": _write_h5}[kind](model, asked, drawing, out)
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise UserError(f"{out}: {error.strerror}; expected the name of a file in a folder") from None
    way = "" if asked.walk is None else f" walk {asked.walk},"
    return [*drawing.said, f"{out}: {asked.count:,} images of {name},{way} seed {asked.seed}"]


def _draw(model: Trained, asked: Asked) -> _Drawing:
    """Begin to draw: what cannot be drawn is refused before a file is opened."""
    check(model, asked)
    told: Tensor | None = None
    source: Tensor | None = None
    unknown: list[str] = []
    label = None if asked.class_ is None else label_of(model, asked.class_)
    if asked.walk is not None:
        way = find_way(model, asked)
        unknown = way.unknown
        blocks = walked(model, asked.seed, way)
    else:
        if asked.text is not None:
            prompt = read_prompt(model, asked.text)
            told, unknown = prompt.tokens, prompt.unknown
        if asked.image is not None:
            picture = torch.from_numpy(read_picture(model, asked.image))
            told, source = to_float(picture[None]), picture.expand(model.description.image_shape[0], -1, -1)
        blocks = generate(model, asked.count, asked.seed, label=label, told=told)
    asked_for = labels_in_turn(generator_of(model), 0, asked.count, torch.device("cpu"))
    if asked_for is not None and label is not None:
        asked_for = torch.full_like(asked_for, label)
    elif asked.walk is not None:
        asked_for = None
    said = [f"words that the model does not know, left out: {', '.join(unknown)}"] if unknown else []
    return _Drawing(tracked(blocks, asked.count, model.description.variant, len), asked_for, source, said)


def _write_png(model: Trained, asked: Asked, drawing: _Drawing, out: Path) -> None:
    images = torch.cat(list(drawing.blocks))
    if images.shape[1:] == POINT:
        save_png(scatter(images.flatten(1), extent=POINTS_EXTENT), out)
        return
    if drawing.source is not None:
        images = torch.cat([drawing.source[None], images])
    picture = grid(images, math.ceil(math.sqrt(len(images))), _scale(images))
    for whole in tracked([picture], 1, out.name):  # to compress a large one takes longer than to draw it
        save_png(whole, out)


def _write_gif(model: Trained, asked: Asked, drawing: _Drawing, out: Path) -> None:
    before = [] if drawing.source is None else [drawing.source[None]]
    frames = (_frame(image) for block in chain(before, drawing.blocks) for image in block)
    count = asked.count + len(before)
    seconds = _STILL_SECONDS * count
    if asked.walk is not None:
        count = 2 * asked.count - 2
        seconds = max(ROUND_TRIP, _LEAST_SECONDS * count)
    save_gif(frames, out, seconds, and_back=asked.walk is not None)


def _write_h5(model: Trained, asked: Asked, drawing: _Drawing, out: Path) -> None:
    with hdf5.create(out) as file:
        file.attrs["seed"] = asked.seed
        file.attrs["variant"] = model.description.variant
        stream(drawing.blocks, asked.count, file)
        if drawing.asked_for is not None:
            file["asked_for"] = drawing.asked_for.numpy()


def _frame(image: Tensor) -> Image.Image:
    """uint8 (C, H, W), C 1 or 3 => a picture of it alone, small ones magnified."""
    large = image.numpy().repeat(_scale(image), 1).repeat(_scale(image), 2)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(large, (3, *large.shape[1:])).transpose(1, 2, 0)))


def _scale(images: Tensor) -> int:
    return 1 if images.shape[-2] > _MAGNIFIED else 2
