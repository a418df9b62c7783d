"""Some rows of a prepared set as the beginning of another one."""

import hashlib

import h5py
import numpy as np

from reprogan.data.hdf5 import rows_of

_BLOCK = 64  # images that are copied at a time


def some_rows(count: int, limit: int | None, purpose: str) -> np.ndarray:
    """`limit` of `count` rows (None: all), in the order of hashes: whatever begins this order is a fair part."""
    order = sorted(range(count), key=lambda row: hashlib.blake2b(f"{purpose}/{row}".encode()).digest())
    return np.array(order[:limit], np.int64)


def copy_rows(source: h5py.Group, rows: np.ndarray, target: h5py.Group) -> None:
    """Write what stands at `rows` of the split `source`, in their order, to the new split `target`."""
    for name, found in source.items():
        if name != "images":
            target.create_dataset(name, data=found[()][rows], dtype=found.dtype)
            continue
        # A chunk an image, as in the faces: a batch reads its own images and no others.
        copied = target.create_dataset(name, (len(rows), *found.shape[1:]), found.dtype, chunks=(1, *found.shape[1:]))
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            copied[start : start + len(part)] = rows_of(found, part)
