"""What the report shows of one variant, read from the files that the stages before it left."""

import csv
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprogan.config import Variant
from reprogan.errors import UserError

# State that training keeps beside the weights: the running statistics of BatchNorm and spectral normalisation.
_NOT_WEIGHTS = ("running_mean", "running_var", "num_batches_tracked", "._u", "._v")

_EXTRAS = {
    "spread.png": "A held-out source, what is made of it with other noise each time, and bright where that differs",
    "reconstructions.png": "Held-out images, and under each its reconstruction",
    "latents.png": "Codes of the held-out images, coloured by class if any: the two axes along which they vary most",
    "walk.png": "From latent to latent, straight and under it on the sphere; then class to class or caption to caption",
    "copies.png": "The samples that are nearest to training images, the nearest first, and under each that image",
    "attention.png": "A marked point of a generated image, and beside it where that point looks; a block a layer",
}


@dataclass(frozen=True)
class History:
    """The rows of history.csv: `images_seen` (N,) and a column of N values a loss."""

    images_seen: list[int]
    columns: dict[str, list[float]]


@dataclass(frozen=True)
class Picture:
    """A PNG file as it is, and its size in pixels."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Contents:
    """One variant: its parameters and what there is of it so far; None or empty for what is not there yet."""

    name: str
    variant: Variant
    model: dict[str, Any] | None = None
    weights: dict[str, int] = field(default_factory=dict)  # {network: numbers that training changes}
    history: History | None = None
    grid: Picture | None = None
    progress: Picture | None = None
    extras: dict[str, Picture] = field(default_factory=dict)  # {caption: picture} of what only some systems draw
    scores: dict[str, Any] | None = None


def read_contents(name: str, variant: Variant, root: Path) -> Contents:
    """Read what the folder `root` holds of a variant. Raises UserError, naming the file, if one is damaged."""
    model, samples = root / "models" / name, root / "samples" / name
    description = _json(model / "model.json", "train", name)
    networks = [path for path in model.glob("*.safetensors") if path.stem != "progress" and description is not None]
    networks.sort(key=lambda path: (path.stem == "discriminator", path.stem))  # what is kept comes first
    return Contents(
        name,
        variant,
        description,
        {path.stem: _weights(path, name) for path in networks},
        _history(model / "history.csv", name),
        _picture(samples / "grid.png", name),
        _picture(samples / "progress.png", name),
        {
            caption: picture
            for file, caption in _EXTRAS.items()
            if (picture := _picture(samples / file, name) or _picture(root / "scores" / name / file, name))
        },
        _json(root / "scores" / name / "scores.json", "evaluate", name),
    )


def _json(path: Path, stage: str, name: str) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise UserError(f"{path}: damaged; expected a JSON object; run `dvc repro -f {stage}@{name}`")
    return values


def _history(path: Path, name: str) -> History | None:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        columns = list(zip(*rows, strict=True)) or [()] * len(header)
        if header[0] != "images_seen" or len(columns) != len(header):
            raise ValueError
        values = [[float(value) for value in column] for column in columns[1:]]
        return History([int(value) for value in columns[0]], dict(zip(header[1:], values, strict=True)))
    except FileNotFoundError:
        return None
    except (ValueError, IndexError):
        raise UserError(
            f"{path}: damaged; expected a header images_seen,… and rows of as many numbers; "
            f"run `dvc repro -f train@{name}`"
        ) from None


def _picture(path: Path, name: str) -> Picture | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise UserError(f"{path}: damaged; expected a PNG picture; run `dvc repro -f sample@{name}`")
    width, height = struct.unpack(">II", content[16:24])
    return Picture(content, width, height)


def _weights(path: Path, name: str) -> int:
    """The number of weights in a safetensors file, from its header: 8 bytes of length, then JSON."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
        sizes = {key: tensor["shape"] for key, tensor in header.items() if key != "__metadata__"}
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: damaged; expected safetensors; run `dvc repro -f train@{name}`") from None
    total = 0
    for key, shape in sizes.items():
        if not key.endswith(_NOT_WEIGHTS):
            count = 1
            for size in shape:
                count *= size
            total += count
    return total
