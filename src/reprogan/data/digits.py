"""Prepare the digits that the parameters ask for: a set of four IDX files, or the embedded digits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reprogan.config import EMBEDDED, Digits, IdxSet
from reprogan.data import hdf5, idx, mnist
from reprogan.data.hdf5 import Arrays, Description
from reprogan.errors import UserError


def prepare(digits: Digits, out: Path, raw: Path, environ: Mapping[str, str]) -> Description:
    """Write the container `out` from `digits.source`; downloads are kept under `raw/<source>/`.

    `environ` may name a mirror that goes first, see `mnist.fetch`. Never swaps one data set for another. Raises
    UserError, one line, when the data cannot be had or is not what it should be; `out` is then left as it was.
    """
    if digits.source == EMBEDDED:
        from reprogan.data import embedded

        train, test, sources = embedded.load()
        hdf5.write(out, name=embedded.NAME, classes=embedded.CLASSES, sources=sources, train=train, test=test)
    else:
        chosen = digits.sets[digits.source]
        files = mnist.fetch(chosen, digits.source, raw, environ)
        train = _split(files.train_images, files.train_labels, chosen, digits.source)
        test = _split(files.test_images, files.test_labels, chosen, digits.source)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"{files.test_images}: images of {_size(test.images)}, in {files.train_images} of "
                f"{_size(train.images)}; expected one size; correct digits.sets.{digits.source}.files in params.yaml"
            )
        sources = {file.name: file.sha256 for _, file in chosen.files}
        hdf5.write(out, name=digits.source, classes=chosen.classes, sources=sources, train=train, test=test)
    return hdf5.describe(out)


def _split(images_file: Path, labels_file: Path, chosen: IdxSet, source: str) -> Arrays:
    """Images (N, 1, H, W) and labels (N,) of one split, if they go together and every label has a class."""
    images, labels = idx.read_images(images_file), idx.read_labels(labels_file)
    if len(images) != len(labels):
        raise UserError(
            f"{labels_file}: {len(labels):,} labels for the {len(images):,} images of {images_file}; expected one an "
            f"image; correct digits.sets.{source}.files in params.yaml"
        )
    if outside := np.flatnonzero(labels >= len(chosen.classes)).tolist():
        raise UserError(
            f"{labels_file}: label {labels[outside[0]]} of image {outside[0]}; expected 0 to "
            f"{len(chosen.classes) - 1}; name every class in digits.sets.{source}.classes in params.yaml"
        )
    return Arrays(images[:, None], labels.astype(np.int64))


def _size(images: np.ndarray) -> str:
    """The height and width of images (N, C, H, W), for messages."""
    return "×".join(str(size) for size in images.shape[2:])
