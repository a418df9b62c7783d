"""What the report shows of one variant, read from the files that the stages before it left."""

import csv
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprogan.config import Variant
from reprogan.errors import UserError
from reprogan.report.pictures import Picture

# State that training keeps beside the weights: the running statistics of BatchNorm and spectral normalisation.
_NOT_WEIGHTS = ("running_mean", "running_var", "num_batches_tracked", "._u", "._v")

_EXTRAS = {
    "spread.png": "A held-out source, what is made of it with other noise each time, and bright where that differs",
    "reconstructions.png": "Held-out images, and under each its reconstruction",
    "latents.png": "Codes of the held-out images, coloured by class if any: the two axes along which they vary most",
    "walk.png": "From latent to latent, straight and under it on the sphere; then class to class or caption to caption",
    "copies.png": "The samples that are nearest to training images, the nearest first, and under each that image",
}


@dataclass(frozen=True)
class History:
    """The rows of history.csv: `images_seen` (N,) and a column of N values a loss."""

    images_seen: list[int]
    columns: dict[str, list[float]]


@dataclass(frozen=True)
class Attention:
    """Images side by side, and of each layer, by its positions a side, where each of their points looks."""

    images: Picture
    layers: dict[int, Picture]


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
    milestones: list[int] = field(default_factory=list)  # images seen at each frame of `progress`
    walk: bytes | None = None  # an animated GIF
    attention: Attention | None = None
    exported: dict[str, Any] | None = None  # what the stage `export` says of it
    generator: bytes | None = None  # as ONNX
    extras: dict[str, Picture] = field(default_factory=dict)  # {caption: picture} of what only some systems draw
    scores: dict[str, Any] | None = None


def read_contents(name: str, variant: Variant, root: Path) -> Contents:
    """Read what the folder `root` holds of a variant. Raises UserError, naming the file, if one is damaged."""
    model, samples, exports = root / "models" / name, root / "samples" / name, root / "exports"
    description = _json(model / "model.json", f"train@{name}")
    networks = [path for path in model.glob("*.safetensors") if path.stem != "progress" and description is not None]
    networks.sort(key=lambda path: (path.stem == "discriminator", path.stem))  # what is kept comes first
    return Contents(
        name,
        variant,
        description,
        {path.stem: _weights(path, name) for path in networks},
        _history(model / "history.csv", name),
        _picture(samples / "grid.png", f"sample@{name}"),
        _picture(samples / "progress.png", f"sample@{name}"),
        _milestones(model / "progress.safetensors", name),
        _bytes(samples / "walk.gif"),
        _attention(exports, name),
        _json(exports / f"{name}.json", "export"),
        _bytes(exports / f"{name}.onnx"),
        {
            caption: picture
            for file, caption in _EXTRAS.items()
            if (
                picture := _picture(samples / file, f"sample@{name}")
                or _picture(root / "scores" / name / file, f"evaluate@{name}")
            )
        },
        _json(root / "scores" / name / "scores.json", f"evaluate@{name}"),
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _attention(exports: Path, name: str) -> Attention | None:
    images = _picture(exports / f"{name}.attention.png", "export")
    layers = {}
    for path in sorted(exports.glob(f"{name}.attention.*.png"), key=lambda path: (len(path.name), path.name)):
        if picture := _picture(path, "export"):
            layers[int(path.name.split(".")[-2])] = picture
    return Attention(images, layers) if images and layers else None


def _json(path: Path, stage: str) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise UserError(f"{path}: damaged; expected a JSON object; run `dvc repro -f {stage}`")
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


def _picture(path: Path, stage: str) -> Picture | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise UserError(f"{path}: damaged; expected a PNG picture; run `dvc repro -f {stage}`")
    width, height = struct.unpack(">II", content[16:24])
    return Picture(content, width, height)


def _weights(path: Path, name: str) -> int:
    """The number of weights in a safetensors file."""
    sizes = [tensor["shape"] for key, tensor in _header(path, name)[0].items() if not key.endswith(_NOT_WEIGHTS)]
    return sum(math.prod(shape) for shape in sizes)


def _milestones(path: Path, name: str) -> list[int]:
    """`images_seen`, int64 (milestones,), of the file in which training leaves what it drew; [] where there is none."""
    if not path.is_file():
        return []
    tensors, start = _header(path, name)
    if "images_seen" not in tensors:
        return []
    begin, end = tensors["images_seen"]["data_offsets"]
    with open(path, "rb") as file:
        file.seek(start + begin)
        return list(struct.unpack(f"<{(end - begin) // 8}q", file.read(end - begin)))


def _header(path: Path, name: str) -> tuple[dict[str, Any], int]:
    """{tensor: its type, shape and place} of a safetensors file, 8 bytes of length then JSON; and where data begins."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
        tensors = {key: tensor for key, tensor in header.items() if key != "__metadata__"}
        for tensor in tensors.values():
            _ = (tensor["shape"], tensor["data_offsets"])
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: damaged; expected safetensors; run `dvc repro -f train@{name}`") from None
    return tensors, 8 + length
