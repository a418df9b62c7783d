"""Toy faces as a source of faces: key i is face i of the seed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reprogan.config import Faces
from reprogan.data.faces.listing import Face, Listing
from reprogan.data.toyfaces.attributes import Attributes, caption, draw_attributes
from reprogan.data.toyfaces.face import draw


def list_faces(faces: Faces) -> Listing:
    """All faces of `faces.toyfaces`."""
    keys = [str(index) for index in range(faces.toyfaces.count)]
    return Listing("toy faces", keys, {}, attributes=Attributes.OPTIONS, captioned=True)


@contextmanager
def open_maker(faces: Faces, group: str | None) -> Iterator[Callable[[str], Face]]:
    """How to draw a key's face."""
    seed = faces.toyfaces.seed

    def make(key: str) -> Face:
        index = int(key)
        face = draw_attributes(seed, index)
        sentence, named = caption(face, seed, index)
        tells = tuple(name in named for name in Attributes.OPTIONS)
        return Face(draw(face, seed, index).bytes(), tuple(face.codes()), sentence, tells)

    yield make
