"""What a source of faces offers before any is made, and what each of them comes to."""

from dataclasses import dataclass, field

import numpy as np

from reprogan.data.hdf5 import Options


@dataclass(frozen=True)
class Listing:
    """The faces of a source by key, in order."""

    name: str  # of the data set
    keys: list[str]
    sources: dict[str, str]  # {file the faces are made from: sha256}
    attributes: Options = field(default_factory=dict)
    captioned: bool = False
    group: str | None = None  # of an HDF5 file, where the pictures are


@dataclass(frozen=True)
class Face:
    """One face: pixels uint8 (3, S, S), the code of each of the listing's attributes, a caption if there is one.

    `named` says of each attribute whether the caption tells it, `size` what height and width the picture had.
    """

    pixels: np.ndarray
    attributes: tuple[int, ...] = ()
    caption: str = ""
    named: tuple[bool, ...] = ()
    size: tuple[int, int] | None = None
