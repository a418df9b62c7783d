"""Where pictures come from: HDF5 files, zips and folders, each as a list of keys and a way to read one of them."""

import hashlib
import io
import itertools
import re
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import h5py
import numpy as np
from PIL import Image, UnidentifiedImageError

from reprogan.config import TOY_FACES
from reprogan.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAXIMUM_PIXELS = 64_000_000  # of one picture; more is taken for a decompression bomb
_MAXIMUM_BYTES = 256 << 20  # of one file in a zip, unpacked
_SHOWN = 5
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow knows more, some of which run other programs
_ORIENTATION = 0x0112  # EXIF's tag
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unreadable(Exception):
    """Why one picture cannot be read, as the end of a sentence that begins with its key."""


Read = Callable[[str], Image.Image]
"""The picture of a key; raises Unreadable."""


@dataclass(frozen=True)
class Source:
    """Pictures by key, in the order in which they are read."""

    name: str  # for messages
    keys: list[str]
    read: Read
    group: str | None = None  # of an HDF5 file


@contextmanager
def open_source(place: Path, group: str | None) -> Iterator[Source]:
    """The pictures at `place`: a folder, a zip, or an HDF5 file with one data set (H, W, 3) a picture.

    `group` names the HDF5 file's group; None takes the only one that holds pictures. Raises UserError, one line.
    """
    if place.is_dir():
        yield _folder(place)
    elif not place.is_file():
        raise UserError(f"{place}: no such file or folder; set faces.source to pictures, or to {TOY_FACES}")
    elif zipfile.is_zipfile(place):
        with _zip_file(place) as archive:
            yield _zip(place, archive)
    elif h5py.is_hdf5(place):
        with _hdf5_file(place) as file:
            yield _hdf5(place, file, group)
    else:
        raise UserError(f"{place}: neither an HDF5 file nor a zip nor a folder (it may be truncated)")


@contextmanager
def open_reader(place: Path, group: str | None) -> Iterator[Read]:
    """How to read pictures of a place that `open_source` has looked through, without looking again; `group` is its."""
    if place.is_dir():
        yield _folder_reader(place)
    elif group is None:
        with _zip_file(place) as archive:
            yield _zip_reader(archive)
    else:
        with _hdf5_file(place) as file:
            yield _hdf5_reader(file[group])


def listed(keys: list[str], count: int | None = None) -> str:
    """The first five keys and how many there are in all: as many as are given, or `count`."""
    shown, count = ", ".join(keys[:_SHOWN]), count or len(keys)
    return shown if count <= _SHOWN else f"{shown}, … ({count:,} in all)"


def in_order(keys: list[str]) -> list[str]:
    """By the numbers in their names, so that 10.jpg comes after 9.jpg."""

    def parts(key: str) -> tuple[list[tuple[int, int, str]], str]:
        # The key itself last: 01.jpg and 1.jpg have one number, and no file system may choose between them.
        split = re.split(r"(\d+)", key)
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in split], key

    return sorted(keys, key=parts)


# ---- folders and zips: encoded pictures --------------------------------------------------------------------------


def _folder(place: Path) -> Source:
    paths = [path.relative_to(place) for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    keys = [path.as_posix() for path in paths if not _is_hidden(path)]
    if not keys:
        raise UserError(f"{place}: a folder without pictures; expected files that end in {', '.join(SUFFIXES)}")
    if odd := [f"{key!a}" for key in keys if any("\ud800" <= letter <= "\udfff" for letter in key)]:
        raise UserError(f"{place}: names that are not UTF-8: {listed(odd)}; rename them")
    return Source(str(place), in_order(keys), _folder_reader(place))


def _is_hidden(path: PurePath) -> bool:
    """Whether a system keeps it for itself, as macOS does beside each picture."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _folder_reader(place: Path) -> Read:
    def read(key: str) -> Image.Image:
        try:
            content = (place / key).read_bytes()
        except OSError as error:
            raise Unreadable(f"cannot be read ({error.strerror})") from None
        return decoded(content)

    return read


@contextmanager
def _zip_file(place: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{place}: a damaged zip ({error}); expected a whole one") from None
    with archive:
        yield archive


def _zip(place: Path, archive: zipfile.ZipFile) -> Source:
    keys = []
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in entry.filename
            or stat.S_ISLNK(entry.external_attr >> 16)
        ):
            raise UserError(f"{place}: entry {entry.filename!r} leads out of the archive; nothing is read from it")
        if not entry.is_dir() and not _is_hidden(path) and path.suffix.lower() in SUFFIXES:
            keys.append(entry.filename)
    if not keys:
        raise UserError(f"{place}: a zip without pictures; expected entries that end in {', '.join(SUFFIXES)}")

    return Source(str(place), in_order(keys), _zip_reader(archive))


def _zip_reader(archive: zipfile.ZipFile) -> Read:
    def read(key: str) -> Image.Image:
        entry = archive.getinfo(key)
        if entry.file_size > _MAXIMUM_BYTES:
            raise Unreadable(f"unpacks to {entry.file_size:,} bytes; expected {_MAXIMUM_BYTES:,} at most")
        if entry.flag_bits & 1:
            raise Unreadable("is encrypted")
        try:
            return decoded(archive.read(key))
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, zlib.error) as error:
            raise Unreadable(f"cannot be unpacked ({error})") from None

    return read


def decoded(content: bytes) -> Image.Image:
    """The whole picture, turned as it was taken: a broken or cut one is found here, not later. Raises Unreadable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture = Image.open(io.BytesIO(content), formats=_FORMATS)
            if picture.width * picture.height > MAXIMUM_PIXELS:
                raise Unreadable(f"has {picture.width}×{picture.height} pixels; expected {MAXIMUM_PIXELS:,} at most")
            picture.load()
        except UnidentifiedImageError:
            raise Unreadable("is no picture") from None
        except Image.DecompressionBombError:  # Pillow's own limit is higher
            raise Unreadable(f"has far more than the {MAXIMUM_PIXELS:,} pixels that are expected at most") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise Unreadable(f"is a broken picture ({error})") from None
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _orientation(picture: Image.Image) -> object:
    """How the camera was held, by the EXIF data; None where it says nothing that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return picture.getexif().get(_ORIENTATION)
    except Exception:  # a sound picture may carry EXIF data of any kind, on which readers fail in as many ways
        return None


# ---- HDF5: one data set a picture ---------------------------------------------------------------------------------


@contextmanager
def _hdf5_file(place: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(place, "r")
    except OSError as error:
        problem = "truncated" if "truncated" in str(error) else f"cannot be opened ({str(error).splitlines()[0]})"
        raise UserError(f"{place}: {problem}; expected an HDF5 file") from None
    with file:
        yield file


def _hdf5(place: Path, file: h5py.File, group: str | None) -> Source:
    where = _group(place, file, group)
    keys = in_order([key for key, found in where.items() if isinstance(found, h5py.Dataset)])
    numbers = [int(number[0]) for key in keys if (number := re.findall(r"^\d+", key))]
    if len(numbers) == len(keys):
        between = (range(before + 1, after) for before, after in itertools.pairwise(sorted(set(numbers))))
        gaps = [gap for gap in between if gap]
        if gaps:
            first_missing = itertools.islice(itertools.chain.from_iterable(gaps), _SHOWN)
            names = listed([f"{number}{Path(keys[0]).suffix}" for number in first_missing], sum(map(len, gaps)))
            raise UserError(f"{place}: group {where.name!r} lacks {names}; expected every number up to {keys[-1]}")
    first = where[keys[0]].shape
    odd = [
        f"{key} {where[key].dtype} {where[key].shape}"
        for key in keys
        if where[key].dtype != np.uint8 or len(where[key].shape) != 3 or where[key].shape[2] != 3
    ]
    if odd:
        raise UserError(f"{place}: group {where.name!r}: {listed(odd)}; expected uint8 (height, width, 3) each")
    mixed = [f"{key} {where[key].shape}" for key in keys if where[key].shape != first]
    if mixed:
        raise UserError(f"{place}: group {where.name!r}: {listed(mixed)}; expected {first} as {keys[0]}")

    return Source(f"{place}, group {where.name!r}", keys, _hdf5_reader(where), where.name)


def _hdf5_reader(where: h5py.Group) -> Read:
    def read(key: str) -> Image.Image:
        try:
            return Image.fromarray(where[key][()])
        except (OSError, RuntimeError) as error:
            raise Unreadable(f"cannot be read ({str(error).splitlines()[0]})") from None

    return read


def _group(place: Path, file: h5py.File, wanted: str | None) -> h5py.Group:
    """The group `wanted`, or the only one that holds data sets."""
    holding: list[str] = []

    def look(name: str, found: object) -> None:
        if isinstance(found, h5py.Group) and any(isinstance(child, h5py.Dataset) for child in found.values()):
            holding.append(name)

    if any(isinstance(child, h5py.Dataset) for child in file.values()):
        holding.append("/")
    file.visititems(look)
    if not holding:
        raise UserError(f"{place}: no group holds pictures; expected one data set (height, width, 3) a picture")
    if wanted is None and len(holding) > 1:
        raise UserError(f"{place}: groups {listed(holding)} hold data sets; name one in faces.group")
    if wanted is not None and wanted.strip("/") not in [name.strip("/") for name in holding]:
        raise UserError(f"{place}: faces.group is {wanted!r}; expected one of {listed(holding)}")
    return file[wanted or holding[0]]


def digest_of(place: Path, keys: list[str]) -> str:
    """The sha256 of a file, or of a folder's pictures: of a line with key and sha256 for each."""
    if place.is_dir():
        lines = "".join(f"{key} {digest_of(place / key, [])}\n" for key in keys)
        return hashlib.sha256(lines.encode()).hexdigest()
    with open(place, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
