"""Prepare pairs for translation: the images of a prepared set, and beside each its source."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from reprogan.blocks import Strict, parse
from reprogan.config import PARAMS_FILE, TASKS, TOY_FACES, Faces, Pairs
from reprogan.data import hdf5
from reprogan.data.faces.crop import Unfit, as_rgb, square
from reprogan.data.faces.sources import Unreadable, digest_of, listed, open_source
from reprogan.data.hdf5 import SPLITS, Description, Split
from reprogan.data.rows import copy_rows, some_rows
from reprogan.data.tasks import NoSource, Target
from reprogan.data.transfer import counting
from reprogan.errors import UserError

SourceOf = Callable[[int, str, np.ndarray], np.ndarray]
"""(row of the prepared split, its key, its pixels) => the source, uint8 (C', H, W)."""


class OwnOptions(Strict):
    """The `options` of pairs whose sources are pictures: none; they are cut as `faces` says."""


def check(name: str, pairs: Pairs, root: Path) -> None:
    """Raise UserError if `pairs.<name>` names no task and no pictures below `root`, or has options of another."""
    where = f"{PARAMS_FILE}: pairs.{name}."
    task = _task(pairs, where)
    if task is None and not (root / pairs.sources).exists():
        raise UserError(
            f"{where}sources is {pairs.sources!r}; no such file or folder; expected pictures, or a task: {_all_tasks()}"
        )
    _options(pairs, task, where)


def prepare(name: str, pairs: Pairs, faces: Faces, prepared: Path, out: Path) -> Description:
    """Write the container `out`: images of the file `prepared`, in an order drawn by hashes, and the source of each.

    Sources are made by a task, or are pictures of the user's: the one of an image has its name, whatever it ends in.
    Raises UserError, and writes nothing, if an image has no source.
    """
    where = f"{PARAMS_FILE}: pairs.{name}."
    description = hdf5.describe(prepared)
    if description.points:
        raise UserError(f"{where}data is {pairs.data!r}, which are points; expected images")
    rows: dict[Split, np.ndarray] = {
        split: some_rows(description.counts[split], limit, f"pairs {split}")
        for split, limit in zip(SPLITS, (pairs.train, pairs.test), strict=True)
    }
    problems: list[str] = []
    with (
        hdf5.create(out) as file,
        h5py.File(prepared, "r") as images,
        _source_of(name, pairs, faces, images) as source_of,
        counting(name, sum(map(len, rows.values()))) as made,
    ):
        hdf5.head(
            file,
            name=description.name,
            classes=description.classes,
            sources=description.sources | _own_sources(pairs, _stems(images, rows), where),
            attributes=description.attributes,
        )
        for split in SPLITS:
            group = file.create_group(split)
            copy_rows(images[split], rows[split], group)
            keys = group["keys"].asstr()[()] if "keys" in group else [str(row) for row in rows[split]]
            sources: h5py.Dataset | None = None
            for place, (row, key) in enumerate(zip(rows[split], keys, strict=True)):
                try:
                    source = source_of(split, int(row), str(key), group["images"][place])
                except (NoSource, Unfit, Unreadable) as problem:
                    problems.append(f"{key} {problem}")
                    continue
                if sources is None:
                    shape = source.shape
                    sources = group.create_dataset("sources", (len(keys), *shape), np.uint8, chunks=(1, *shape))
                sources[place] = source
                made(1)
        if problems:
            raise UserError(f"{where}sources: {listed(problems)}; mend these images, or choose others")
    return hdf5.describe(out)


def _all_tasks() -> str:
    folder = Path(__file__).with_name("tasks")
    return ", ".join([*(f"{TASKS}/{path.name}" for path in sorted(folder.glob("[a-z]*.py"))), TOY_FACES])


def _task(pairs: Pairs, where: str) -> str | None:
    """The module of the task that makes the sources; None for pictures. Raises UserError for an unknown task."""
    place = PurePosixPath(pairs.sources)
    if place == PurePosixPath(TOY_FACES):
        return "reprogan.data.toyfaces.parts"
    if place.parent != PurePosixPath(TASKS):
        return None
    if place.as_posix() not in _all_tasks().split(", "):
        raise UserError(f"{where}sources is {pairs.sources!r}, which is no task; expected one of {_all_tasks()}")
    return f"reprogan.data.tasks.{place.stem}"


def _options(pairs: Pairs, task: str | None, where: str) -> Strict:
    block = OwnOptions if task is None else import_module(task).Options
    return parse(block, pairs.options, f"{where}options.")


def _stems(images: h5py.File, rows: dict[Split, np.ndarray]) -> set[str]:
    """The names, without their endings, of the images at these rows."""
    keyed = [split for split in SPLITS if "keys" in images[split]]
    return {_stem(key) for split in keyed for key in images[split]["keys"].asstr()[()][rows[split]]}


def _own_sources(pairs: Pairs, stems: set[str], where: str) -> dict[str, str]:
    """{what the sources are: sha256} of pictures of these names; nothing of a task: DVC knows its code and options."""
    if _task(pairs, where) is not None:
        return {}
    place = Path(pairs.sources)
    with open_source(place, None) as pictures:
        taken = [key for key in pictures.keys if _stem(key) in stems]
    return {f"{place.name} (sources)": digest_of(place, taken)}


@contextmanager
def _source_of(name: str, pairs: Pairs, faces: Faces, images: h5py.File) -> Iterator[Callable[..., np.ndarray]]:
    """A function (split, row, key, pixels) => source; it raises NoSource, Unfit or Unreadable."""
    where = f"{PARAMS_FILE}: pairs.{name}."
    task = _task(pairs, where)
    options = _options(pairs, task, where)
    if task is not None:
        make = import_module(task).make
        yield lambda split, row, key, pixels: make(Target(pixels, key, faces), options)
        return
    with open_source(Path(pairs.sources), None) as pictures:
        by_stem = _by_stem(pictures.keys, f"{where}sources", pairs.sources)
        _check_counts(pairs, faces, images, by_stem, where)

        def read(split: str, row: int, key: str, pixels: np.ndarray) -> np.ndarray:
            picture = pictures.read(by_stem[_stem(key)])
            if "sizes" in images[split]:
                height, width = (int(side) for side in images[split]["sizes"][row])
                if picture.size != (width, height):
                    raise Unfit(
                        f"has {picture.width}×{picture.height} pixels in {pairs.sources}; expected "
                        f"{width}×{height}, as in {faces.source}"
                    )
            rgb = as_rgb(picture, faces.grey, faces.alpha)
            return square(rgb, faces.resize, faces.on_small == "pad", pixels.shape[1])

        yield read


def _stem(key: str) -> str:
    """A picture's name without what it ends in."""
    return PurePosixPath(key).with_suffix("").as_posix()


def _by_stem(keys: list[str], key: str, place: str) -> dict[str, str]:
    """{name without what it ends in: name}. Raises UserError, about the parameter `key`, for two names of one stem."""
    by_stem: dict[str, str] = {}
    for name in keys:
        if (stem := _stem(name)) in by_stem:
            raise UserError(f"{key}: {by_stem[stem]} and {name} in {place}; expected one of the two")
        by_stem[stem] = name
    return by_stem


def _check_counts(pairs: Pairs, faces: Faces, images: h5py.File, by_stem: dict[str, str], where: str) -> None:
    """Raise UserError unless every image has a picture of its name, and every picture an image."""
    if any("keys" not in images[split] for split in SPLITS):
        raise UserError(f"{where}data is {pairs.data!r}, whose images have no names; expected 'faces'")
    keys = [str(key) for split in SPLITS for key in images[split]["keys"].asstr()[()]]
    stems = list(_by_stem(keys, f"{where}data", faces.source))
    if missing := [stem for stem in stems if stem not in by_stem]:
        raise UserError(
            f"{where}sources: {pairs.sources} has {len(by_stem):,} pictures for {len(stems):,} images and lacks "
            f"{listed(missing)}; expected one of each image's name"
        )
    if faces.limit is None and faces.on_small != "skip" and (more := sorted(set(by_stem) - set(stems))):
        raise UserError(
            f"{where}sources: {pairs.sources} has {len(by_stem):,} pictures for {len(stems):,} images; there is no "
            f"image for {listed(more)}"
        )
