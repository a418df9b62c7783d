"""Anybody's images scored as `evaluate` scores those of this repository: a folder or zip of pictures, .npy, .h5."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from reprogan.config import PARAMS_FILE, REFERENCES, Parameters
from reprogan.data.faces.sources import Unreadable, open_source
from reprogan.errors import UserError
from reprogan.evaluation.extractors import Rows
from reprogan.evaluation.images import beside_scores, score_images
from reprogan.evaluation.inputs import extractor_for, fits
from reprogan.evaluation.reference import load_reference


def score_file(path: Path, name: str, params: Parameters, root: Path) -> dict[str, Any]:
    """The scores of the images in `path` against the reference `name`, as scores.json has those of a variant.

    Without those that need more than images: of captions and of translations. Raises UserError for a reference that is
    not there, and for a file of anything but images of its channels and size.
    """
    if name not in params.references:
        raise UserError(f"{PARAMS_FILE}: no reference {name!r}; expected one of {', '.join(params.references)}")
    block, evaluation = params.references[name], params.evaluation
    data_path = root / "data/processed" / f"{block.data}.h5"
    extractor, data = extractor_for(root / "models" / block.extractor, data_path)
    reference = load_reference(root / REFERENCES / f"{name}.h5", extractor, data_path, evaluation)
    channels, height, width = data.image_shape
    wanted = (channels, height, width) if block.size is None else (channels, block.size, block.size)
    with _open(path, channels) as images:
        if not fits(images.shape, wanted, block.size):
            raise UserError(
                f"{path}: images are {images.shape}; expected (N, {', '.join(map(str, wanted))}) as {name} has them; "
                "scale them"
            )
        scored = score_images(images, data, extractor, reference, evaluation, str(path))
        total = len(images)
    beside = beside_scores(scored, scored.copies(reference), extractor, reference, data_path, str(path))
    return scored.scores | beside | {"n_given": total, "data": data.name, "reference": name}


@contextmanager
def _open(path: Path, channels: int) -> Iterator[Rows]:
    with ExitStack() as stack:
        if path.suffix in (".h5", ".hdf5") and path.is_file():
            yield stack.enter_context(_hdf5(path))
        elif path.suffix == ".npy" and path.is_file():
            yield _Array(path, channels)
        elif path.is_dir() or path.suffix == ".zip":
            source = stack.enter_context(open_source(path, None))
            yield _Pictures(path, source.keys, source.read, channels)
        else:
            found = "no such file or folder" if not path.exists() else f"a file that ends in {path.suffix!r}"
            raise UserError(f"{path}: {found}; expected a folder or .zip of pictures, a .npy or an .h5 file")


@contextmanager
def _hdf5(path: Path) -> Iterator[Rows]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise UserError(f"{path}: not an HDF5 file, or truncated; expected one with a dataset `images`") from None
    with file:
        images = file.get("images")
        if not isinstance(images, h5py.Dataset) or images.dtype != np.uint8 or images.ndim != 4:
            found = f"{images.dtype} {images.shape}" if isinstance(images, h5py.Dataset) else "no such dataset"
            raise UserError(f"{path}: images: {found}; expected uint8 (N, C, H, W)")
        yield images


class _Array:
    """A .npy file: uint8 (N, C, H, W), (N, H, W, C) or, of one channel, (N, H, W). Nothing in it is unpickled."""

    def __init__(self, path: Path, channels: int) -> None:
        try:
            array = np.load(path, mmap_mode="r")
        except (ValueError, EOFError, OSError) as error:
            raise UserError(f"{path}: no array ({str(error).splitlines()[0]}); expected uint8 (N, C, H, W)") from None
        if array.dtype != np.uint8 or array.ndim not in (3, 4):
            raise UserError(
                f"{path}: {array.dtype} {array.shape}; expected uint8 (N, C, H, W), (N, H, W, C) or (N, H, W), black 0 "
                "and white 255; scale and round it"
            )
        if array.ndim == 3:
            array = array[:, None]
        elif array.shape[1] != channels and array.shape[3] == channels:
            array = array.transpose(0, 3, 1, 2)
        self._array = array
        self.shape: tuple[int, ...] = array.shape

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.array(self._array[rows])


class _Pictures:
    """The pictures of a folder or zip, by the numbers in their names, all of the first one's size."""

    def __init__(self, path: Path, keys: list[str], read: Any, channels: int) -> None:
        self._path, self._keys, self._read, self._channels = path, keys, read, channels
        self.shape: tuple[int, ...] = (len(keys), *self._pixels(keys[0]).shape)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, rows: slice) -> np.ndarray:
        pictures = []
        for key in self._keys[rows]:
            pictures.append(pixels := self._pixels(key))
            if pixels.shape != self.shape[1:]:
                size, first = (f"{shape[2]}×{shape[1]}" for shape in (pixels.shape, self.shape[1:]))
                raise UserError(f"{self._path}: {key} has {size} pixels, {self._keys[0]} {first}; expected one size")
        return np.stack(pictures)

    def _pixels(self, key: str) -> np.ndarray:
        """uint8 (C, H, W)."""
        try:
            picture: Image.Image = self._read(key)
            picture.load()
        except Unreadable as error:
            raise UserError(f"{self._path}: {key} {error}; mend or remove it") from None
        if "A" in picture.mode or "transparency" in picture.info:
            raise UserError(f"{self._path}: {key} has transparent pixels; expected none; save it so")
        if picture.mode not in ("1", "L", "P", "RGB"):
            raise UserError(f"{self._path}: {key} is of mode {picture.mode}; expected L or RGB; save it so")
        colours = np.asarray(picture.convert("RGB"))
        if self._channels == 1:
            if (colours != colours[:, :, :1]).any():
                raise UserError(f"{self._path}: {key} is in colour; expected grey pictures; save it so")
            colours = colours[:, :, :1]
        return colours.transpose(2, 0, 1)
