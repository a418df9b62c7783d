"""What a person asks a model for: a caption of their own, a picture to translate, a walk, so many images of a class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reprogan.data.faces.sources import Unreadable, decoded
from reprogan.data.text import tokens_of, unknown_words
from reprogan.errors import UserError
from reprogan.models.latents import classes_of
from reprogan.models.trained import Trained
from reprogan.sampling.generate import generator_of

_LARGEST_SEED = 2**63 - 1  # that a file of data holds


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
    """How many images from which seed; of a class by its name, a caption or a picture, where a model reads such.

    With `walk`, "A:B", they lead from one image to another (see `asked_walk`).
    """

    count: int
    seed: int
    class_: str | None = None
    text: str | None = None
    image: Path | None = None
    walk: str | None = None


def check(model: Trained, asked: Asked) -> None:
    """Raise UserError for a caption, picture or walk where the model takes none, and for none where it needs one.

    So too for a walk of fewer than two images, and a seed that is too large to be written down.
    """
    reads, name = getattr(generator_of(model), "reads", None), model.description.variant
    if asked.walk is not None and reads == "sources":
        raise UserError(f"{name}: --walk for a model that makes images of sources; expected none")
    if asked.seed > _LARGEST_SEED:
        raise UserError(f"--seed {asked.seed}; expected 0 to {_LARGEST_SEED}")
    if asked.walk is not None and asked.count < 2:
        raise UserError(f"--count {asked.count} with --walk; expected 2 or more, for an image at each end")
    for option, given, wanted in (("text", asked.text, "captions"), ("image", asked.image, "sources")):
        if given is not None and reads != wanted:
            raise UserError(f"{name}: --{option} for a model that reads no {wanted}; expected none")
        if given is None and reads == wanted and asked.walk is None:
            raise UserError(f"{name}: no --{option}; it makes images of {wanted}; give it one")


def label_of(model: Trained, name: str) -> int:
    """The number of the class that is so called. Raises UserError for no such class, or a model that is told none."""
    classes = model.description.classes
    if name not in classes:
        known = ", ".join(classes[:20]) or "none"
        raise UserError(f"{model.description.variant}: no class {name!r}; expected one of {known}")
    if not classes_of(generator_of(model)):
        raise UserError(
            f"{model.description.variant}: class {name} of a model that is told no classes; expected none; choose a "
            "conditional model"
        )
    return classes.index(name)
