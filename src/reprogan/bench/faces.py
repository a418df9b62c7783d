"""How fast pictures are prepared and read: `python -m reprogan.bench.faces PICTURES.zip [ROUNDS]`.

Against a plain loop over the same zip, which writes uncompressed, and against reading `h5[key]` from a file as the GAN
books have it: one gzipped data set a picture. Prints Markdown; medians of the rounds, the two sides in turn.
"""

import io
import resource
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from reprogan.config import Faces, load
from reprogan.data.faces.prepare import prepare
from reprogan.data.faces.sources import SUFFIXES
from reprogan.entry import checkout_root

_BATCH = 64
_SIZE = 128  # of the squares that the book cuts
_BATCHES = 20


def main(pictures: Path, rounds: int) -> None:
    """Measure both and print a row each."""
    as_plain = {"source": str(pictures), "limit": None, "resize": "none"}  # which scales nothing either
    faces = load(checkout_root() / "params.yaml").faces.model_copy(update=as_plain)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared, book = folder / "faces.h5", folder / "book.h5py"
        count = write_as_the_book_does(pictures, book)
        print("| what | ours, images/s | plain, images/s | ratio |\n|---|---|---|---|")
        plain = folder / "plain.h5"
        for compression in ("none", "gzip"):
            stored = Faces(**{**faces.model_dump(), "compression": compression})
            what = f"preparing {count:,} pictures, compression {compression}"
            print(
                _row(what, count, partial(prepare, stored, prepared), partial(plain_loop, pictures, plain), rounds),
                flush=True,
            )
            what, read = f"random batches of {_BATCH}, compression {compression}", _BATCH * _BATCHES
            reads = partial(read_batches, prepared), partial(read_batches_as_the_book_does, book)
            print(_row(what, read, *reads, rounds), flush=True)
    own, processes = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"\nPeak memory: {own:.0f} MiB here, {processes:.0f} MiB in the largest other process.")


def plain_loop(pictures: Path, out: Path) -> None:
    """Picture after picture: decode, cut out the middle, write."""
    with zipfile.ZipFile(pictures) as archive, h5py.File(out, "w") as file:
        names = _names(archive)
        images = file.create_dataset("images", (len(names), 3, _SIZE, _SIZE), np.uint8)
        for index, name in enumerate(names):
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            top, left = (length // 2 - _SIZE // 2 for length in pixels.shape[:2])
            images[index] = pixels[top : top + _SIZE, left : left + _SIZE].transpose(2, 0, 1)


def write_as_the_book_does(pictures: Path, out: Path) -> int:
    """One gzipped data set a picture; the number of them."""
    with zipfile.ZipFile(pictures) as archive, h5py.File(out, "w") as file:
        names = _names(archive)
        group = file.create_group("img_align_celeba")
        for index, name in enumerate(names):
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            group.create_dataset(f"{index}.jpg", data=pixels, compression="gzip")
    return len(names)


def read_batches(prepared: Path) -> None:
    """Random images of a prepared file, a batch at a time."""
    random = np.random.default_rng(1)
    with h5py.File(prepared) as file:
        images = file["train/images"]
        for _ in range(_BATCHES):
            # One after the other: h5py takes a hundred times as long for a list of rows as for one.
            _ = np.stack([images[row] for row in np.sort(random.choice(len(images), _BATCH, replace=False))])


def read_batches_as_the_book_does(book: Path) -> None:
    """The same by key, each cut as it is read."""
    random = np.random.default_rng(1)
    with h5py.File(book) as file:
        group = file["img_align_celeba"]
        for _ in range(_BATCHES):
            for index in random.choice(len(group), _BATCH, replace=False):
                pixels = np.array(group[f"{index}.jpg"])
                top, left = (length // 2 - _SIZE // 2 for length in pixels.shape[:2])
                _ = pixels[top : top + _SIZE, left : left + _SIZE]


def _row(what: str, count: int, ours: Callable[[], object], plain: Callable[[], object], rounds: int) -> str:
    rates: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for side, rate in zip((ours, plain), rates, strict=True):
            started = time.perf_counter()
            side()
            rate.append(count / (time.perf_counter() - started))
    ratios = [own / other for own, other in zip(*rates, strict=True)]
    medians = [statistics.median(rate) for rate in rates]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    return f"| {what} | {medians[0]:,.0f} | {medians[1]:,.0f} | {spread} |"


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.lower().endswith(SUFFIXES)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
