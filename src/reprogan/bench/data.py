"""How fast pictures are prepared, and images read: `python -m reprogan.bench.data`, in a process of its own.

Against plain loops over the same files. Pictures are JPEGs made of the prepared faces. Random batches of images:
against `h5[key]` on a file as the GAN books have it, one gzipped data set a picture. The stream is what a training
gets, from memory and from a file that is to stay on disk.
"""

import gzip
import io
import json
import os
import resource
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from reprogan.bench.measure import Row, in_a_process, said, seconds, spread, table
from reprogan.config import Faces, Parameters, load
from reprogan.data import hdf5, idx
from reprogan.data.faces.prepare import prepare
from reprogan.entry import checkout_root, pin_instruction_set

_BATCH, _BATCHES = 64, 20
_SIZE = 128  # of the squares that the book cuts
_PICTURE = (178, 218)  # pixels, as CelebA's
_ROUNDS = 3
_FROM = Path("data/processed/faces.h5")
_STREAMED = 128 * 60  # images


def rows(params: Parameters, count: int = 2000) -> list[Row]:
    """A row for each kind of work."""
    return list(in_a_process("reprogan.bench.data", str(count))["rows"])


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    headings = ("what", "ours, images/s", "plain, images/s", "ratio", "besides")
    return table(headings, [_cells(row) for row in found])


def _cells(row: Row) -> tuple[str, ...]:
    plain, ratio = "", ""
    if "plain" in row:
        plain, ratio = f"{row['plain']:,.0f}", f"{row['ratio']:.2f} {spread(row['ratios'], '.2f')}"
    return row["what"], f"{row['ours']:,.0f}", plain, ratio, row.get("besides", "")


def main() -> None:
    """Measure and print a line of JSON."""
    import sys

    os.chdir(checkout_root())
    params = load()
    pin_instruction_set(params.compute)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"rows": list(_measured(params, Path(folder), int(sys.argv[1])))}))


def _measured(params: Parameters, folder: Path, count: int) -> Iterator[Row]:
    pictures, book, plain = folder / "faces.zip", folder / "book.h5py", folder / "plain.h5"
    count = _write_pictures(pictures, count)
    as_plain = {"source": str(pictures), "limit": None, "resize": "none"}  # which scales nothing either
    faces = params.faces.model_copy(update=as_plain)
    _write_as_the_book_does(pictures, book)
    prepared = folder / "faces.h5"
    for compression in ("none", "gzip"):
        stored = Faces(**{**faces.model_dump(), "compression": compression})
        yield _row(
            f"preparing {count:,} JPEGs, compression {compression}",
            count,
            partial(prepare, stored, prepared),
            partial(_plain_loop, pictures, plain),
        )
        yield _row(
            f"random batches of {_BATCH}, compression {compression}",
            _BATCH * _BATCHES,
            partial(_read_batches, prepared),
            partial(_read_batches_as_the_book_does, book),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield from _digits(folder)
    yield from _streams(params, peak)


def _row(what: str, count: int, ours: Callable[[], object], plain: Callable[[], object]) -> Row:
    pairs = [(count / seconds(ours), count / seconds(plain)) for _ in range(_ROUNDS)]
    ratios = [mine / theirs for mine, theirs in pairs]
    said(f"{what}: {statistics.median(ratios):.2f}")
    return {
        "what": what,
        "ours": statistics.median(mine for mine, _ in pairs),
        "plain": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def _write_pictures(path: Path, count: int) -> int:
    """JPEGs of the first prepared faces, enlarged; how many."""
    images = hdf5.read(_FROM, "train", np.arange(min(count, hdf5.describe(_FROM).counts["train"]))).images
    with zipfile.ZipFile(path, "w") as archive:
        for index, pixels in enumerate(images):
            content = io.BytesIO()
            Image.fromarray(pixels.transpose(1, 2, 0)).resize(_PICTURE).save(content, "JPEG", quality=90)
            archive.writestr(f"{index}.jpg", content.getvalue())
    return len(images)


def _plain_loop(pictures: Path, out: Path) -> None:
    """Picture after picture: decode, cut out the middle, write."""
    with zipfile.ZipFile(pictures) as archive, h5py.File(out, "w") as file:
        names = archive.namelist()
        images = file.create_dataset("images", (len(names), 3, _SIZE, _SIZE), np.uint8)
        for index, name in enumerate(names):
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            top, left = (length // 2 - _SIZE // 2 for length in pixels.shape[:2])
            images[index] = pixels[top : top + _SIZE, left : left + _SIZE].transpose(2, 0, 1)


def _write_as_the_book_does(pictures: Path, out: Path) -> None:
    """One gzipped data set a picture."""
    with zipfile.ZipFile(pictures) as archive, h5py.File(out, "w") as file:
        group = file.create_group("img_align_celeba")
        for name in archive.namelist():
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            group.create_dataset(name, data=pixels, compression="gzip")


def _read_batches(prepared: Path) -> None:
    """Random images of a prepared file, a batch at a time."""
    random = np.random.default_rng(1)
    with h5py.File(prepared) as file:
        images = file["train/images"]
        for _ in range(_BATCHES):
            # One after the other: h5py takes a hundred times as long for a list of rows as for one.
            _ = np.stack([images[row] for row in np.sort(random.choice(len(images), _BATCH, replace=False))])


def _read_batches_as_the_book_does(book: Path) -> None:
    """The same by key, each cut as it is read."""
    random = np.random.default_rng(1)
    with h5py.File(book) as file:
        group = file["img_align_celeba"]
        for _ in range(_BATCHES):
            for index in random.choice(len(group), _BATCH, replace=False):
                pixels = np.array(group[f"{index}.jpg"])
                top, left = (length // 2 - _SIZE // 2 for length in pixels.shape[:2])
                _ = pixels[top : top + _SIZE, left : left + _SIZE]


def _digits(folder: Path) -> Iterator[Row]:
    """Gzipped IDX files to a container, against images that are read and written one by one."""
    arrays = hdf5.read(Path("data/processed/digits.h5"), "train")
    head = b"".join(size.to_bytes(4, "big") for size in (0x803, len(arrays.images), *arrays.images.shape[2:]))
    packed = folder / "images.gz"
    packed.write_bytes(gzip.compress(head + arrays.images.tobytes(), 6))

    def ours() -> None:
        images = idx.read_images(packed)
        both = hdf5.Arrays(images[:, None], np.zeros(len(images), np.int64))
        hdf5.write(folder / "digits.h5", name="digits", classes=("any",), sources={}, train=both, test=both)

    def plain() -> None:
        with gzip.open(packed) as file, h5py.File(folder / "plain_digits.h5", "w") as out:
            _, count, height, width = (int.from_bytes(file.read(4), "big") for _ in range(4))
            images = out.create_dataset("images", (count, 1, height, width), np.uint8)
            for index in range(count):
                images[index, 0] = np.frombuffer(file.read(height * width), np.uint8).reshape(height, width)

    yield _row(f"{len(arrays.images):,} digits from gzipped IDX to HDF5", len(arrays.images), ours, plain)


def _streams(params: Parameters, peak: float) -> Iterator[Row]:
    """What a training of `dcgan_faces` waits for, its images in memory and in the file."""
    for where, streamed in (("in memory", "off"), ("in the file", "on")):
        found = in_a_process(
            "reprogan.bench.side", "ours", "dcgan_faces", "native", str(_STREAMED),
            environment={"REPROGAN_STREAM": streamed},
        )  # fmt: skip
        yield {
            "what": f"training of `dcgan_faces`, images {where}",
            "ours": found["images_per_second"],
            "besides": f"{found['reading']:.2%} of the time spent on batches, peak {found['peak_mib']:,.0f} MiB",
        }


if __name__ == "__main__":
    main()
