"""Faces from the user's own pictures: an HDF5 file, a zip or a folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reprogan.config import Faces
from reprogan.data.faces.crop import as_rgb, square
from reprogan.data.faces.listing import Face, Listing
from reprogan.data.faces.sources import digest_of, open_reader, open_source


def list_faces(faces: Faces) -> Listing:
    """The pictures at `faces.source`. Raises UserError if there are none."""
    place = Path(faces.source)
    with open_source(place, faces.group) as source:
        return Listing(place.stem, source.keys, {place.name: digest_of(place, source.keys)}, group=source.group)


@contextmanager
def open_maker(faces: Faces, group: str | None) -> Iterator[Callable[[str], Face]]:
    """How to make a key's face; it raises Unreadable, or Unfit for a picture that is not to be taken."""
    with open_reader(Path(faces.source), group) as read:

        def make(key: str) -> Face:
            picture = read(key)
            rgb = as_rgb(picture, faces.grey, faces.alpha)
            pixels = square(rgb, faces.resize, faces.on_small == "pad", faces.size)
            return Face(pixels, size=(picture.height, picture.width))

        yield make
