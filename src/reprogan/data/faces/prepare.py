"""Faces as one prepared file: streamed, on all cores where one face takes long, the same bytes on however many."""

import hashlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reprogan.config import PARAMS_FILE, TOY_FACES, Faces
from reprogan.data import hdf5
from reprogan.data.faces.crop import TooSmall, Unfit
from reprogan.data.faces.listing import Face, Listing
from reprogan.data.faces.sources import Unreadable, listed
from reprogan.data.hdf5 import Description
from reprogan.data.transfer import counting
from reprogan.errors import UserError
from reprogan.parent import stop_with_parent

_TASK = 32  # faces that a process makes at a time
_FEW = 8 * _TASK  # for fewer, starting processes takes longer than it saves
_MOST = 16  # processes
_LONG = 0.002  # seconds a face; where one takes less, starting processes and handing pixels over costs more
_BUFFERED = 64  # faces that are written at a time

Made = Face | TooSmall | Unfit | Unreadable


def prepare(faces: Faces, out: Path) -> tuple[Description, list[str]]:
    """Write the container `out`; give its description and the keys of the pictures left out as too small.

    The share `faces.test_share` of the keys is held out, each by a hash of itself: another picture moves none. Raises
    UserError, and writes nothing, if there is no source or a picture of it cannot be taken.
    """
    is_toy = Path(faces.source) == Path(TOY_FACES)  # also with a slash at its end
    module = "reprogan.data.toyfaces.listing" if is_toy else "reprogan.data.faces.pictures"
    listing = import_module(module).list_faces(faces)
    keys = listing.keys[: faces.limit]
    problems: list[str] = []
    skipped: list[str] = []
    with hdf5.create(out) as file:
        hdf5.head(file, name=listing.name, classes=(), sources=listing.sources, attributes=listing.attributes)
        splits = {split: _Split(file.create_group(split), listing, len(keys), faces) for split in hdf5.SPLITS}
        with counting(listing.name, len(keys)) as made:
            for key, face in zip(keys, _faces(module, faces, listing.group, keys), strict=True):
                made(1)
                if isinstance(face, Face):
                    splits[split_of(key, faces.test_share)].add(key, face)
                elif isinstance(face, TooSmall) and faces.on_small == "skip":
                    skipped.append(key)
                else:
                    problems.append(f"{key} {face}")
        if problems:
            raise UserError(
                f"{faces.source}: {listed(problems)}; mend or remove these pictures{_hint(problems, faces.size)}"
            )
        for split, writer in splits.items():
            if not writer.finish():
                raise UserError(
                    f"{faces.source}: of {len(keys) - len(skipped):,} pictures none is in split {split!r}; expected "
                    f"more pictures, or another {PARAMS_FILE}: faces.test_share than {faces.test_share}"
                )
    return hdf5.describe(out), skipped


def split_of(key: str, test_share: float) -> hdf5.Split:
    """Where the picture `key` belongs: a hash of its key below `test_share` of all hashes is held out."""
    place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") / 2**64
    return "test" if place < test_share else "train"


def _hint(problems: list[str], size: int) -> str:
    is_small = any(f"expected {size} a side" in problem for problem in problems)
    return ", or set faces.on_small to pad or skip, or faces.resize to shorter_side" if is_small else ""


class _Split:
    """One split as it is written: images go to the file a few at a time, the rest is kept until the end."""

    def __init__(self, group: h5py.Group, listing: Listing, count: int, faces: Faces) -> None:
        self._group, self._listing = group, listing
        # A chunk an image: a batch reads its own images and no others.
        shape = (3, faces.size, faces.size)
        gzip = {"compression": "gzip", "compression_opts": 1}  # the fastest of its levels
        compression: dict[str, Any] = gzip if faces.compression == "gzip" else {}
        self._images = group.create_dataset(
            "images", (count, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape), **compression
        )
        self._written = 0
        self._waiting: list[np.ndarray] = []
        self._keys: list[str] = []
        self._captions: list[str] = []
        self._attributes: list[tuple[int, ...]] = []
        self._named: list[tuple[bool, ...]] = []
        self._sizes: list[tuple[int, int]] = []

    def add(self, key: str, face: Face) -> None:
        self._waiting.append(face.pixels)
        self._keys.append(key)
        if self._listing.captioned:
            self._captions.append(face.caption)
            self._named.append(face.named)
        if self._listing.attributes:
            self._attributes.append(face.attributes)
        if face.size is not None:
            self._sizes.append(face.size)
        if len(self._waiting) == _BUFFERED:
            self._write()

    def finish(self) -> int:
        """Write what is left; give the number of faces."""
        self._write()
        self._images.resize(self._written, 0)
        if self._written:
            hdf5.write_strings(self._group, "keys", self._keys)
            if self._captions:
                hdf5.write_strings(self._group, "captions", self._captions)
            if self._attributes:
                self._group.create_dataset("attributes", data=np.array(self._attributes, np.uint8))
            if self._named:
                self._group.create_dataset("named", data=np.array(self._named, np.uint8))
            if self._sizes:
                self._group.create_dataset("sizes", data=np.array(self._sizes, np.uint32))
        return self._written

    def _write(self) -> None:
        if self._waiting:
            self._images[self._written : self._written + len(self._waiting)] = np.stack(self._waiting)
            self._written += len(self._waiting)
            self._waiting.clear()


# ---- on all cores ---------------------------------------------------------------------------------------------------


def _faces(module: str, faces: Faces, group: str | None, keys: list[str]) -> Iterator[Made]:
    """The face of each key in turn, or why there is none; on all cores where there are many and one takes long.

    No more are in memory than the processes are making.
    """
    first, rest = keys[:_TASK], keys[_TASK:]
    with _opened:
        _start(module, faces, group, watch=False)
        started = time.perf_counter()
        made = _make(first)
        takes_long = time.perf_counter() - started > _LONG * len(first)
        yield from made
        if not takes_long or len(keys) < _FEW or _cores() == 1:
            for key in rest:
                yield from _make([key])
            return
    yield from _faces_of_processes(module, faces, group, rest)


def _faces_of_processes(module: str, faces: Faces, group: str | None, keys: list[str]) -> Iterator[Made]:
    """As `_faces`, on all cores."""
    processes = _cores()
    waiting: deque[Future[list[Made]]] = deque()
    spawn = multiprocessing.get_context("spawn")  # a fork would copy this process's open files and threads
    with ProcessPoolExecutor(processes, spawn, _start, (module, faces, group)) as pool:
        try:
            for first in range(0, len(keys), _TASK):
                waiting.append(pool.submit(_make, keys[first : first + _TASK]))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                f"{faces.source}: a process that makes faces was ended from outside, as happens when memory is short; "
                "free some and run it again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _cores() -> int:
    """Those that this process may use, up to where writing the file is slower than making faces."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


_opened = ExitStack()
_maker: Callable[[str], Face]


def _start(module: str, faces: Faces, group: str | None, watch: bool = True) -> None:
    """Open the source in a process that is to make faces."""
    global _maker
    if watch:
        stop_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent says so once, and ends them
    _maker = _opened.enter_context(import_module(module).open_maker(faces, group))


def _make(keys: list[str]) -> list[Made]:
    made: list[Made] = []
    for key in keys:
        try:
            made.append(_maker(key))
        except (Unfit, Unreadable) as problem:
            made.append(problem)
    return made
