"""What scores are computed from: the chosen real images, the samples file, and whether the extractor fits them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from reprogan.config import IMPORTED, Evaluation, View
from reprogan.data import hdf5
from reprogan.data import view as view_of_data
from reprogan.data.batches import as_data, to_float
from reprogan.data.view import enlarge, reduce
from reprogan.errors import UserError
from reprogan.evaluation.extractors import BLOCK, ByChannel, Extractor, load_extractor
from reprogan.training.randomness import derive_seed

# Below this many images a dimension, the distance says more about the number of images than about the images.
IMAGES_PER_DIMENSION = 10
ALL = View(size=None, classes=None, per_class=None)
"""The view of a variant that sees all of its data as it is."""


def extractor_for(folder: Path, data_path: Path) -> tuple[Extractor, hdf5.Description]:
    """The extractor in a folder as it reads the prepared data, and the description of that.

    A classifier of single digits reads the channels of stacked ones one by one. Raises UserError if the extractor was
    trained here on other data.
    """
    extractor, data = load_extractor(folder), hdf5.describe(data_path)
    trained = extractor.description
    if trained.system == IMPORTED:
        return extractor, data
    channels, height, width = data.image_shape
    digits = len(trained.classes)
    if trained.image_shape == (1, height, width) and channels > 1 and digits**channels == len(data.classes):
        return replace(extractor, network=ByChannel(extractor.network), stacked=True), data
    for what, found, expected in (
        ("data set", trained.data, data.name),
        ("image shape", trained.image_shape, data.image_shape),
        ("answers", trained.classes, data.answers if trained.classes else data.classes),
    ):
        if found != expected:
            raise UserError(
                f"models/{trained.variant}: its {what}: {found}; expected {expected} as in {data_path}; "
                f"run `dvc repro train@{trained.variant}`"
            )
    return extractor, data


@contextmanager
def open_file(path: Path, holds: str) -> Iterator[h5py.File]:
    """Open a samples file that holds the dataset or group of that name. Raises UserError for any other file."""
    again = f"run `dvc repro -f sample@{path.parent.name}`"
    if not path.is_file():
        raise UserError(f"{path}: not there; {again}")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        reason = "truncated" if "truncated" in str(error) else "not an HDF5 file"
        raise UserError(f"{path}: {reason}; expected a samples file; {again}") from None
    with file:
        if holds not in file:
            raise UserError(f"{path}: no dataset `{holds}`; expected a samples file; {again}")
        yield file


@contextmanager
def open_samples(
    path: Path, image_shape: tuple[int, int, int], size: int | None = None, dtype: str = "uint8"
) -> Iterator[h5py.File]:
    """Open a samples file whose dataset `images` is `dtype` (N, *image_shape), enlarged to `size` if that is given.

    Without `size` sides may be a half or a third (and so on) of the data's. Raises UserError if it holds no such thing.
    """
    shape = image_shape if size is None else (image_shape[0], size, size)
    with open_file(path, "images") as file:
        images = file["images"]
        if not isinstance(images, h5py.Dataset) or images.dtype != dtype or not fits(images.shape, shape, size):
            found = f"{images.dtype} {images.shape}" if isinstance(images, h5py.Dataset) else "a group"
            raise UserError(
                f"{path}: images are {found}; expected {dtype} (N, {', '.join(map(str, shape))}) as in the data; "
                f"run `dvc repro -f sample@{path.parent.name}`"
            )
        yield file


def sample_sets(file: h5py.File) -> list[h5py.Group]:
    """The sample sets of a samples file, each laid out like the file itself, which is the first of them."""
    more = file.get("sets", {})
    return [file, *(more[seed] for seed in sorted(more, key=int))]


def fits(found: tuple[int, ...], wanted: tuple[int, ...], size: int | None) -> bool:
    """Whether images (N, C, H, W) are of the wanted shape or, without a size, smaller by a whole number."""
    if len(found) != 4 or 0 in found or found[1] != wanted[0]:
        return False
    if size is not None:
        return found[1:] == wanted
    factors = {divmod(whole, part) for whole, part in zip(wanted[1:], found[2:], strict=True)}
    return len(factors) == 1 and not any(rest for _, rest in factors)


def at_size(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 (N, C, H, W) at the data's size: larger images by the mean of areas, smaller ones enlarged bilinearly."""
    if images.shape[2:] == (height, width):
        return images
    if images.shape[2] < height:
        return as_data(enlarge(to_float(images), max(height, width)))
    return reduce(images, height, width)


def chosen(path: Path, split: hdf5.Split, evaluation: Evaluation, view: View = ALL) -> tuple[Tensor, Tensor]:
    """The images that stand for a split, as `chosen_rows` has them, and what is true of them (`hdf5.answers_of`)."""
    description = hdf5.describe(path)
    rows = chosen_rows(path, split, description, evaluation, view)
    arrays = hdf5.read(path, split, rows.numpy())  # a split may be larger than memory
    return torch.from_numpy(arrays.images), torch.from_numpy(hdf5.answers_of(arrays, description))


def chosen_rows(
    path: Path, split: hdf5.Split, description: hdf5.Description, evaluation: Evaluation, view: View = ALL
) -> Tensor:
    """The rows of the images that stand for a split: the first `count` of a seeded permutation of the view's classes.

    Never the first of the file: the halves of MNIST come from different writers.
    """
    rows = torch.from_numpy(rows_seen(path, split, description, view))
    return rows[some_of(len(rows), evaluation.count, evaluation.seed, f"evaluation {split}")]


def some_of(total: int, count: int, seed: int, purpose: str) -> Tensor:
    """The first `count` of a seeded permutation of 0 .. total - 1, int64; all of them where there are no more."""
    generator = torch.Generator().manual_seed(derive_seed(seed, purpose))
    return torch.randperm(total, generator=generator)[:count]


def rows_seen(path: Path, split: hdf5.Split, description: hdf5.Description, view: View) -> np.ndarray:
    """The rows of a split that are of the view's classes, int64, rising."""
    if view.classes is None:
        return np.arange(description.counts[split])
    labels = hdf5.read_labels(path, split)
    rows = view_of_data.rows_seen(labels, description, view, f"{path}: ", limit=False)
    return np.arange(len(labels)) if rows is None else rows


def there_and_back(images: Tensor, size: int | None) -> Tensor:
    """Real images uint8 (N, C, H, W) as they would be if a generator had made them at `size`."""
    if size is None:
        return images
    blocks = (as_data(enlarge(to_float(block), size)) for block in images.split(BLOCK))
    return torch.cat([reduce(block, *images.shape[2:]) for block in blocks])


def warn_of_few(name: str, count: int, dimensions: int) -> None:
    if count < IMAGES_PER_DIMENSION * dimensions:
        print(
            f"reprogan: {name}: {count} images for {dimensions} feature dimensions; expected "
            f"{IMAGES_PER_DIMENSION * dimensions} or more; the Fréchet distance leans on their number: "
            "compare it only with scores of equal counts",
            file=sys.stderr,
        )
