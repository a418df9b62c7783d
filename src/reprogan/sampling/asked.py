"""What a person asks a model for: a caption of their own, a picture to translate, so many images of a class."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reprogan.data.batches import to_float
from reprogan.data.faces.sources import Unreadable, decoded
from reprogan.data.hdf5 import POINT
from reprogan.data.text import tokens_of, unknown_words
from reprogan.errors import UserError
from reprogan.models.trained import Trained
from reprogan.sampling.generate import generate, generator_of
from reprogan.sampling.pictures import grid, save_png

_MAGNIFIED = 48  # images with longer sides are shown as they are


@dataclass(frozen=True)
class Prompt:
    """A caption as a model reads it: tokens int64 (1, T), and the words of it that the model does not know."""

    tokens: Tensor
    unknown: list[str]


def read_prompt(model: Trained, text: str) -> Prompt:
    """`text` in the words that the model learned. Raises UserError if it knows none of them."""
    vocabulary = model.description.vocabulary
    unknown = unknown_words(text, vocabulary)
    tokens = tokens_of([text], vocabulary)
    if not tokens.any():
        raise UserError(
            f"{model.description.variant}: {text!r} has no word that it knows; it knows {len(vocabulary):,}, such as "
            f"{', '.join(sorted(vocabulary, key=lambda word: (-len(word), word))[:12])}"
        )
    return Prompt(torch.from_numpy(tokens), unknown)


def read_picture(model: Trained, path: Path) -> np.ndarray:
    """The picture at `path` as a source for the model, uint8 (C', H, W).

    Raises UserError for a file that is no picture, and for one of another size or kind than the model translates.
    """
    description = model.description
    _, height, width = description.image_shape
    try:
        picture = decoded(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; expected a picture") from None
    except Unreadable as problem:
        raise UserError(f"{path}: {problem}; expected a picture") from None
    if picture.size != (width, height):
        raise UserError(
            f"{path}: has {picture.width}×{picture.height} pixels; {description.variant} translates {width}×{height}; "
            "scale or cut it"
        )
    return _in_channels(picture, path, description.source_channels)


def _in_channels(picture: Image.Image, path: Path, channels: int) -> np.ndarray:
    wanted = {1: "L", 3: "RGB"}[channels]
    names = {"L": "grey", "RGB": "in colour"}
    mode = picture.mode + (", with transparent pixels" if "transparency" in picture.info else "")
    if mode in ("1", "P"):
        picture = picture.convert("RGB")
    pixels = np.atleast_3d(np.asarray(picture)) if mode in ("1", "P", "L", "RGB") else None
    if pixels is not None and channels == 1 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, :1]  # grey, whatever it is stored as
    if pixels is None or pixels.shape[2] != channels:
        expected = f"{names[wanted]} ({wanted})"
        raise UserError(f"{path}: is of mode {mode}; expected one that is {expected}; save it so")
    return pixels.transpose(2, 0, 1).copy()  # Pillow's own pixels are not for writing: torch warns of such


@dataclass(frozen=True)
class Asked:
    """How many images from which seed; of a class by its name, a caption or a picture, where a model reads such."""

    count: int
    seed: int
    class_: str | None = None
    text: str | None = None
    image: Path | None = None


def write_picture(model: Trained, asked: Asked, out: Path) -> list[str]:
    """Draw what is asked for into the PNG file `out`; give lines that say what came of it.

    Of a picture to translate, that comes first. Raises UserError for what the model does not read, lacks or does not
    know.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: expected a name that ends in .png")
    _check(model, asked)
    said = []
    told, before = None, []
    if asked.text is not None:
        prompt = read_prompt(model, asked.text)
        told = prompt.tokens
        if prompt.unknown:
            said.append(f"words that the model does not know, left out: {', '.join(prompt.unknown)}")
    if asked.image is not None:
        source = torch.from_numpy(read_picture(model, asked.image))
        told = to_float(source[None])
        before = [source.expand(model.description.image_shape[0], -1, -1)]
    label = None if asked.class_ is None else _label(model, asked.class_)
    blocks = generate(model, asked.count, asked.seed, label=label, told=told)
    images = torch.cat(list(blocks))
    if images.shape[1:] == POINT:
        raise UserError(f"{model.description.variant}: draws points; look at samples/{model.description.variant}")
    pictures = torch.stack([*before, *images])
    columns = math.ceil(math.sqrt(len(pictures)))
    save_png(grid(pictures, columns, 1 if images.shape[2] > _MAGNIFIED else 2), out)
    return [*said, f"{out}: {len(images):,} images of {model.description.variant}, seed {asked.seed}"]


def _check(model: Trained, asked: Asked) -> None:
    """Raise UserError for a caption or picture where the model reads none, and for none where it does."""
    reads, name = getattr(generator_of(model), "reads", None), model.description.variant
    for option, given, wanted in (("text", asked.text, "captions"), ("image", asked.image, "sources")):
        if given is not None and reads != wanted:
            raise UserError(f"{name}: --{option} for a model that reads no {wanted}; expected none")
        if given is None and reads == wanted:
            raise UserError(f"{name}: no --{option}; it makes images of {wanted}; give it one")


def _label(model: Trained, name: str) -> int:
    classes = model.description.classes
    if name not in classes:
        known = ", ".join(classes[:20]) or "none"
        raise UserError(f"{model.description.variant}: no class {name!r}; expected one of {known}")
    return classes.index(name)
