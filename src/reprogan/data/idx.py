"""A strict reader of gzipped IDX files, MNIST's format (http://yann.lecun.com/exdb/mnist, "file formats").

Big-endian: two zero bytes, the element type (0x08, unsigned byte), the number of dimensions, one uint32 for
the size of each dimension, then the elements, row by row. Nothing before, between or after.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from reprogan.errors import UserError

MAXIMUM_BYTES = 1 << 30  # of elements in a file; the largest set in this format, EMNIST ByClass, has 0.55 GB
_UNSIGNED_BYTE = 0x08
_CHUNK_BYTES = 1 << 20


def read_images(path: Path) -> np.ndarray:
    """Read images: uint8 (N, H, W). Raises UserError as `read`."""
    return read(path, dimensions=3)


def read_labels(path: Path) -> np.ndarray:
    """Read labels: uint8 (N,). Raises UserError as `read`."""
    return read(path, dimensions=1)


def read(path: Path, dimensions: int) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes: uint8, with `dimensions` dimensions, none of size 0.

    Never unpacks more than one chunk beyond the size that the header declares, nor more than MAXIMUM_BYTES.
    Raises UserError, one line, for anything but exactly such a file; OSError where it cannot be opened.
    """
    with open(path, "rb") as packed, gzip.GzipFile(fileobj=packed) as file:
        try:
            shape = _read_header(file, dimensions)
            elements = _read_elements(file, math.prod(shape))
        except _Malformed as error:
            raise UserError(f"{path}: {error}; replace it with the right file") from None
        except EOFError:
            raise UserError(f"{path}: the gzip stream is cut short; replace it with the whole file") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path}: not a sound gzip file ({error}); replace it with the right file") from None
    return np.frombuffer(elements, np.uint8).reshape(shape)


class _Malformed(Exception):
    """What is wrong with the file: what was found and what was expected."""


def _read_header(file: gzip.GzipFile, dimensions: int) -> tuple[int, ...]:
    """Read magic and sizes; the shape that they declare."""
    header = file.read(4 + 4 * dimensions)
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if header[:4] != magic:
        raise _Malformed(f"IDX magic {header[:4].hex()!r}; expected {magic.hex()!r} (bytes, {dimensions} dimensions)")
    if len(header) < 4 + 4 * dimensions:
        raise _Malformed(f"ends inside the header, after {len(header)} bytes; expected {4 + 4 * dimensions}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not 0 < math.prod(shape) <= MAXIMUM_BYTES:
        sizes = "×".join(f"{size:,}" for size in shape)
        raise _Malformed(f"declares {sizes} elements; expected 1 to {MAXIMUM_BYTES:,} in all")
    return shape


def _read_elements(file: gzip.GzipFile, size: int) -> bytearray:
    """Read exactly `size` bytes and make sure that the file ends there (which also checks gzip's own CRC)."""
    elements = bytearray()
    while len(elements) < size:
        chunk = file.read(min(_CHUNK_BYTES, size - len(elements)))
        if not chunk:
            raise _Malformed(f"holds {len(elements):,} of the {size:,} elements that its header declares")
        elements += chunk
    if file.read(1):
        raise _Malformed(f"goes on after the {size:,} elements that its header declares")
    return elements
