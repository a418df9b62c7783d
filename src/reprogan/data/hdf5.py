"""The one container of prepared data: HDF5 with groups `train` and `test`, images as uint8 (N, C, H, W).

Points in the plane are images too, float32 (N, 2, 1, 1): x and y are the channels of one pixel. Beside the images
stand, where they are known, `labels`, `attributes`, `named`, `captions`, `tokens`, `sources`, `sizes` and `keys`, one
row an image.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import h5py
import numpy as np

from reprogan.atomic import atomic_path
from reprogan.config import DATA_SETS
from reprogan.errors import UserError
from reprogan.memory import available_memory

SCHEMA = "reprogan-1"
SPLITS: tuple["Split", "Split"] = ("train", "test")
POINT = (2, 1, 1)  # the shape of a point in the plane
_SMALL = 1 << 28  # bytes

Split = Literal["train", "test"]
Options = dict[str, tuple[str, ...]]
"""{attribute: what its codes 0, 1, ... mean}"""


class RowsInFile:
    """Rows of a data set that was written in pieces, compressed or not, read from its file as they are asked for."""

    def __init__(self, path: Path, pixels: h5py.Dataset) -> None:
        self.shape, self.dtype, self.nbytes = pixels.shape, pixels.dtype, pixels.nbytes
        self._path, self._name = path, pixels.name
        self._pixels: h5py.Dataset | None = None  # open from the first row on

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """One row, a slice of them, or those whose numbers an array holds, in its order."""
        if self._pixels is None:
            self._pixels = h5py.File(self._path, "r")[self._name]
        return rows_of(self._pixels, rows) if isinstance(rows, np.ndarray) else self._pixels[rows]


@dataclass(frozen=True)
class Arrays:
    """One split: images uint8 (N, C, H, W) or points float32 (N, 2, 1, 1); labels int64 (N,), indices of classes.

    Where there are no classes all labels are 0. Where there are any: `attributes` int64 (N, A), the index of each
    attribute's value among its options; `named` int64 (N, A), 1 where the caption tells it; `tokens` int64 (N, T), the
    caption's words as 1, 2, … in the vocabulary, and 0 after the last; `sources` uint8 (N, C', H, W), of which the
    images are translations.
    """

    images: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray | None = None
    named: np.ndarray | None = None
    tokens: np.ndarray | None = None
    sources: np.ndarray | None = None


@dataclass(frozen=True)
class Description:
    """What a container holds, without its images."""

    name: str  # the data set's own: "mnist", "embedded digits"
    classes: tuple[str, ...]  # what the labels 0, 1, ... mean; none: the images have no labels
    sources: dict[str, str]  # {file it was made from: sha256}
    image_shape: tuple[int, int, int]  # C, H, W
    counts: dict[str, int]  # {"train": images, "test": images}
    points: bool = False  # float32 points instead of uint8 images
    attributes: Options = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()  # what the tokens 1, 2, ... mean; none: the images have no captions of tokens
    source_channels: int = 0  # of the sources; 0: the images have none

    @property
    def answers(self) -> tuple[str, ...]:
        """What a classifier can say of an image: its class or else, where it has attributes, "mouth is smile"."""
        said = (f"{name} is {option}" for name, options in self.attributes.items() for option in options)
        return self.classes or tuple(said)

    def __str__(self) -> str:
        counts = " and ".join(f"{count:,} {split}" for split, count in self.counts.items())
        what = "points" if self.points else f"images of {self.image_shape[1]}×{self.image_shape[2]}"
        known = [f"{len(self.classes):,} classes"] if self.classes else []
        known += [f"{len(self.attributes):,} attributes"] if self.attributes else []
        known += [f"captions of {len(self.vocabulary):,} words"] if self.vocabulary else []
        known += [f"sources of {self.source_channels} channels"] if self.source_channels else []
        return ", ".join([f"{self.name}, {counts} {what}", *known])


def write(
    path: Path, *, name: str, classes: tuple[str, ...], sources: dict[str, str], train: Arrays, test: Arrays
) -> None:
    """Write a container, whole or not at all. Equal input gives equal bytes.

    Datasets are contiguous and uncompressed: the fastest to read, and no zlib build can change the bytes.
    Raises ValueError for arrays that the schema does not allow, OSError where the disk refuses.
    """
    for split, arrays in zip(SPLITS, (train, test), strict=True):
        problem = _image_problem(arrays.images.dtype, arrays.images.shape)
        if problem := problem or _label_problem(arrays.labels, classes, len(arrays.images)):
            raise ValueError(f"{split}: {problem}")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"train images are {train.images.shape[1:]}, test images {test.images.shape[1:]}")
    with create(path) as file:
        head(file, name=name, classes=classes, sources=sources)
        for split, arrays in zip(SPLITS, (train, test), strict=True):
            group = file.create_group(split)
            group.create_dataset("images", data=arrays.images)
            group.create_dataset("labels", data=arrays.labels)


def head(
    file: h5py.File,
    *,
    name: str,
    classes: tuple[str, ...],
    sources: dict[str, str],
    attributes: Options | None = None,
    vocabulary: tuple[str, ...] = (),
) -> None:
    """Write what `Description` says of a container, but for its counts and shapes."""
    file.attrs["schema"] = SCHEMA
    file.attrs["name"] = name
    file.attrs["classes"] = np.array(classes, dtype=h5py.string_dtype())
    file.attrs["sources"] = json.dumps(sources, sort_keys=True)
    if attributes:
        file.attrs["attributes"] = json.dumps(attributes)
    if vocabulary:
        file.attrs["vocabulary"] = json.dumps(vocabulary)  # an array attribute would end at 4,096 words


@contextmanager
def create(path: Path) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that takes the place of `path` once it is complete, or never.

    When the disk refuses (full, over quota), raises OSError with number and file name once the block ends.
    """
    with atomic_path(path) as temporary, open(temporary, "w+b", buffering=0) as raw:
        disk = _Disk(raw)
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            if disk.refusal:
                number = disk.refusal.errno or errno.EIO
                raise OSError(number, os.strerror(number), str(path)) from disk.refusal


class _Disk:
    """A file for HDF5 to write to that keeps the disk's first refusal to itself and ignores all that follows.

    Told of a failed write, HDF5 fails again while it closes the file, and may take the whole process with it.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.refusal: OSError | None = None

    def write(self, content: memoryview) -> int:
        """Write all of `content`, unless the disk has refused before."""
        rest = memoryview(content)
        try:
            while rest and not self.refusal:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.refusal = error
        return len(content)

    def truncate(self, size: int) -> int:
        """Set the file's size, unless the disk has refused before."""
        try:
            if not self.refusal:
                self._raw.truncate(size)
        except OSError as error:
            self.refusal = error
        return size

    def __getattr__(self, name: str) -> Any:
        """seek, tell, readinto and flush are the file's own."""
        return getattr(self._raw, name)


def describe(path: Path) -> Description:
    """Read what a container holds (labels are looked at, images are not).

    Raises UserError, one line, when the file is missing, is not HDF5, is truncated or has another schema.
    """
    with _open(path) as file:
        return _describe(file)


def read(path: Path, split: Split, rows: np.ndarray | None = None) -> Arrays:
    """Read one split into memory, as it was written; or those of its `rows` alone, in their order.

    A whole split that would take more than a third of the free memory stays in the file: its images and sources are
    read from there as they are asked for. (For a training, images in memory are laid out anew, so that for a moment
    they are there twice.) Where `$REPROGAN_STREAM` is "on" any stays in the file.
    Raises UserError as `describe`.
    """
    with _open(path) as file:
        description, group = _describe(file), file[split]
        chosen: slice | np.ndarray = slice(None) if rows is None else rows
        stays = rows is None and _stays_in_the_file(group)
        images = _in_the_file(path, group["images"]) if stays else rows_of(group["images"], rows)
        sources = group["sources"] if description.source_channels else None
        return Arrays(
            images=images,
            labels=group["labels"][()][chosen] if description.classes else np.zeros(len(images), np.int64),
            attributes=group["attributes"][()][chosen].astype(np.int64) if description.attributes else None,
            named=group["named"][()][chosen].astype(np.int64) if "named" in group else None,
            tokens=group["tokens"][()][chosen].astype(np.int64) if description.vocabulary else None,
            sources=None if sources is None else _in_the_file(path, sources) if stays else rows_of(sources, rows),
        )


def _stays_in_the_file(group: h5py.Group) -> bool:
    pixels = [group[name] for name in ("images", "sources") if name in group]
    if os.environ.get("REPROGAN_STREAM") == "on":
        return True
    return sum(one.nbytes for one in pixels) > available_memory() // 3


def _in_the_file(path: Path, pixels: h5py.Dataset) -> Any:
    """A data set's numbers where they lie in the file, to be read as they are asked for: as an array, or like one."""
    if pixels.chunks is not None:
        return RowsInFile(path, pixels)
    return np.memmap(path, pixels.dtype, "r", pixels.id.get_offset(), pixels.shape)


def read_labels(path: Path, split: Split) -> np.ndarray:
    """The labels int64 (N,) of a split that has classes. Raises UserError as `describe`."""
    with _open(path) as file:
        _describe(file)
        labels: np.ndarray = file[split]["labels"][()]
        return labels


def write_strings(group: h5py.Group, name: str, strings: list[str]) -> None:
    """Strings of one length, padded with zeros: unlike HDF5's of any length, they lie in the file in their order."""
    encoded = [string.encode() for string in strings]
    group.create_dataset(name, data=encoded, dtype=h5py.string_dtype("utf-8", max(map(len, encoded))))


def read_strings(path: Path, split: Split, name: str) -> list[str]:
    """The `captions` or `keys` of a split, none if it has none. Raises UserError as `describe`."""
    with _open(path) as file:
        _describe(file)
        strings = file[split].get(name)
        return [] if strings is None else [str(string) for string in strings.asstr()[()]]


def rows_of(images: h5py.Dataset, rows: np.ndarray | None) -> np.ndarray:
    """`images[rows]`, or all; from small files by reading all: h5py takes longer for a row than for a megabyte."""
    if rows is None:
        return images[()]
    if images.chunks is None and images.nbytes < _SMALL:
        return images[()][rows]
    found = np.empty((len(rows), *images.shape[1:]), images.dtype)
    for place in np.argsort(rows, kind="stable"):  # in the order of the file
        found[place] = images[rows[place]]  # not `images[sorted rows]`, a hundred times slower in h5py
    return found


def answers_of(arrays: Arrays, description: Description) -> np.ndarray:
    """The true ones of `description.answers`: int64 (N,), or (N, A), one for each attribute."""
    if description.classes or arrays.attributes is None:
        return arrays.labels
    counts = [len(options) for options in description.attributes.values()]
    return arrays.attributes + np.cumsum([0, *counts[:-1]])


class _Damaged(Exception):
    """What is wrong with a container: what was found and what was expected."""


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open a container for reading; whatever is wrong with it becomes one line that says how to make it again."""
    is_set = path.stem in DATA_SETS
    again = f"run `dvc repro prepare_{path.stem if is_set else f'pairs@{path.stem}'}`"
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _Damaged as error:
        raise UserError(f"{path}: {error}; {again}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {again}") from None
    except PermissionError as error:
        raise OSError(error.errno, os.strerror(error.errno or errno.EACCES), str(path)) from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        text = str(error)
        if "truncated file" in text:
            problem = "truncated"
        elif "signature not found" in text:
            problem = "not an HDF5 file"
        else:
            problem = f"cannot be read ({text.splitlines()[0][:120]})"
        raise UserError(f"{path}: {problem}; expected a container of schema {SCHEMA}; {again}") from None


def _describe(file: h5py.File) -> Description:
    """Check all of a container but its pixels, and describe it. Raises _Damaged."""
    schema = file.attrs.get("schema")
    if not isinstance(schema, str) or schema != SCHEMA:
        found = f"schema {schema!r}" if isinstance(schema, str) else "no schema"
        raise _Damaged(f"{found}; expected {SCHEMA!r}")
    try:
        name = str(file.attrs["name"])
        classes = tuple(str(label) for label in file.attrs["classes"])
        sources = {str(source): str(sha256) for source, sha256 in json.loads(file.attrs["sources"]).items()}
        options = json.loads(file.attrs.get("attributes", "{}"))
        attributes = {str(key): tuple(map(str, values)) for key, values in options.items()}
        vocabulary = tuple(json.loads(file.attrs.get("vocabulary", "[]")))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        raise _Damaged("HDF5 attributes name, classes and sources missing or of another kind") from None
    shapes, types = [], []
    counts: dict[str, int] = {}
    for split in SPLITS:
        images = file.get(f"{split}/images")
        if not isinstance(images, h5py.Dataset):
            raise _Damaged(f"no images in group {split!r}")
        problem = _image_problem(images.dtype, images.shape) or _rows_problem(file[split], classes, attributes)
        if problem := problem or _told_problem(file[split], vocabulary):
            raise _Damaged(f"{split}: {problem}")
        shapes.append(images.shape[1:])
        counts[split] = int(images.shape[0])
        types.append(images.dtype)
    if shapes[0] != shapes[1] or types[0] != types[1]:
        found = f"train images are {types[0]} {shapes[0]}, test images {types[1]} {shapes[1]}"
        raise _Damaged(f"{found}; expected one type and shape")
    channels, height, width = (int(size) for size in shapes[0])
    points = bool(types[0] == np.float32)
    beside = [file[f"{split}/sources"].shape[1] if "sources" in file[split] else 0 for split in SPLITS]
    if beside[0] != beside[1]:
        raise _Damaged(f"train sources have {beside[0]} channels, test sources {beside[1]}; expected as many")
    return Description(
        name, classes, sources, (channels, height, width), counts, points, attributes, vocabulary, int(beside[0])
    )


def _image_problem(found: np.dtype, shape: tuple[int, ...]) -> str | None:
    """What keeps images of this kind and shape from being a split's, or None."""
    is_points = found == np.float32 and shape[1:] == POINT
    if not (found == np.uint8 or is_points) or len(shape) != 4 or 0 in shape:
        return f"images are {found} {shape}; expected uint8 (N, C, H, W)"
    return None


def _rows_problem(group: h5py.Group, classes: tuple[str, ...], attributes: Options) -> str | None:
    """What is wrong with the labels and attributes beside a split's images, or None."""
    count = len(group["images"])
    if classes:
        if not isinstance(labels := group.get("labels"), h5py.Dataset):
            return "no labels"
        if problem := _label_problem(labels[()], classes, count):
            return problem
    if attributes:
        if not isinstance(codes := group.get("attributes"), h5py.Dataset):
            return "no attributes"
        expected = (count, len(attributes))
        if codes.dtype != np.uint8 or codes.shape != expected:
            return f"attributes are {codes.dtype} {codes.shape}; expected uint8 {expected}"
        for name, column in zip(attributes, codes[()].T, strict=True):
            if problem := _outside(name, column, len(attributes[name])):
                return problem
    return None


def _told_problem(group: h5py.Group, vocabulary: tuple[str, ...]) -> str | None:
    """What is wrong with the tokens and sources beside a split's images, or None."""
    images = group["images"]
    if vocabulary:
        tokens = group.get("tokens")
        if not isinstance(tokens, h5py.Dataset) or tokens.dtype != np.uint16 or tokens.shape[:1] != images.shape[:1]:
            return "no tokens; expected uint16, a row an image"
        if problem := _outside("token", tokens[()].max(1), len(vocabulary) + 1):
            return problem
    sources = group.get("sources")
    if sources is not None:
        expected = (images.shape[0], *images.shape[2:])
        if sources.dtype != np.uint8 or (sources.shape[0], *sources.shape[2:]) != expected:
            return f"sources are {sources.dtype} {sources.shape}; expected uint8, as many and as large as the images"
    return None


def _label_problem(labels: np.ndarray, classes: tuple[str, ...], count: int) -> str | None:
    """What keeps these from being the labels of `count` images, as a sentence, or None."""
    if labels.dtype != np.int64 or labels.shape != (count,):
        return f"labels are {labels.dtype} {labels.shape}; expected int64 ({count},), one an image"
    return _outside("label", labels, len(classes))


def _outside(what: str, codes: np.ndarray, count: int) -> str | None:
    """The first of `codes` that is no index below `count`, as a sentence, or None."""
    outside = np.flatnonzero((codes < 0) | (codes >= count))
    if len(outside):
        return f"{what} {codes[outside[0]]} of image {outside[0]}; expected 0 to {count - 1}"
    return None
