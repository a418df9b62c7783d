"""MNIST and every data set in its format: four gzipped IDX files, cached in a folder, from the first good mirror."""

import hashlib
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reprogan.config import IdxSet
from reprogan.data import download
from reprogan.data.download import Unavailable, WrongHash
from reprogan.errors import UserError

MIRROR_VARIABLE = "REPROGAN_MNIST_MIRROR"


class Files(NamedTuple):
    """Where the four files of a data set lie."""

    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path


class Place(NamedTuple):
    """A URL or a folder that may hold the four files, and how it is called in messages."""

    address: str
    label: str


class Availability(NamedTuple):
    """Whether a place can serve a data set, and why or why not."""

    place: str
    ok: bool
    reason: str


def fetch(chosen: IdxSet, name: str, raw: Path, environ: Mapping[str, str]) -> Files:
    """Make sure that all four files of the set `name` lie in `raw/<name>/` with the right sha256.

    A good cached file is used, a bad one replaced. `$REPROGAN_MNIST_MIRROR` (a URL or a folder; a relative one
    starts from the current directory, which stages and commands make the repository's root) comes before the
    set's own mirrors. Raises UserError, one line with what each place said and both ways out, when no place
    serves a file.
    """
    places = _places(chosen, environ)
    gone: dict[Place, str] = {}
    return Files(*(_fetch_one(chosen, key, name, raw / name, places, gone) for key in Files._fields))


def availability(
    chosen: IdxSet, name: str, raw: Path, environ: Mapping[str, str], seconds: float = 5.0
) -> list[Availability]:
    """Where the set `name` can be had, for `reprogan doctor`: the cache, then each place in the order of `fetch`.

    A folder is looked through, a URL is asked for the smallest of the files, all at the same time; what has not
    answered after `seconds` is not ok.
    """
    places = _places(chosen, environ)
    answers = [Availability(place.label, False, f"no answer within {seconds:g} s") for place in places]

    def ask(index: int) -> None:
        answers[index] = _probe(chosen, places[index], seconds)

    # Daemons: looking up a host name knows no timeout and must not keep the process from ending.
    threads = [threading.Thread(target=ask, args=(index,), daemon=True) for index in range(len(places))]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    cached = _look_through(chosen, raw / name, str(raw / name))
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [cached, *answers]


def _places(chosen: IdxSet, environ: Mapping[str, str]) -> list[Place]:
    """Every place that may serve the set, in the order in which they are tried."""
    first = environ.get(MIRROR_VARIABLE, "").strip()
    own = [Place(mirror, mirror) for mirror in chosen.mirrors]
    return [Place(first, f"${MIRROR_VARIABLE} ({first})"), *own] if first else own


def _fetch_one(chosen: IdxSet, key: str, name: str, folder: Path, places: list[Place], gone: dict[Place, str]) -> Path:
    """Make sure of one file; a place that does not answer goes from `places` to `gone`, for the files after it."""
    file = getattr(chosen.files, key)
    path: Path = folder / file.name
    if path.is_file():
        found = download.sha256_of(path)
        if found == file.sha256:
            return path
        print(f"{path}: {WrongHash(found, file.sha256)}; fetching it again", file=sys.stderr)
    reasons = [f"{place.label}: {reason}" for place, reason in gone.items()]
    another_hash = False
    for place in list(places):
        print(f"{name}: fetching {file.name} from {place.label}", file=sys.stderr, flush=True)
        try:
            download.fetch(place.address, file.name, file.sha256, path)
            return path
        except Unavailable as error:
            print(f"{name}: {place.label}: {error}", file=sys.stderr)
            reasons.append(f"{place.label}: {error}")
            another_hash |= isinstance(error, WrongHash)
            if error.passing:
                places.remove(place)
                gone[place] = str(error)
    if another_hash:
        reasons.append(f"if that other hash is right, correct digits.sets.{name}.files.{key}.sha256 in params.yaml")
    raise UserError(
        f"{name}: nothing serves {file.name}: {'; '.join(reasons)}; set {MIRROR_VARIABLE} to a URL or folder that "
        "holds the four files, or run `reprogan profile offline` for the embedded digits"
    )


def _probe(chosen: IdxSet, place: Place, seconds: float) -> Availability:
    """Whether a place serves the set: all four files of a folder, the test labels (the smallest) of a URL."""
    file = chosen.files.test_labels
    digest = hashlib.sha256()
    try:
        if (folder := download.local_folder(place.address)) is not None:
            return _look_through(chosen, folder, place.label)
        with download.opened(place.address, file.name, seconds) as incoming:
            for chunk in incoming.chunks:
                digest.update(chunk)
        if digest.hexdigest() != file.sha256:
            raise WrongHash(digest.hexdigest(), file.sha256)
    except Unavailable as error:
        return Availability(place.label, False, f"{file.name}: {error}")
    return Availability(place.label, True, f"serves {file.name}")


def _look_through(chosen: IdxSet, folder: Path, label: str) -> Availability:
    """Whether a folder holds all four files with the right sha256."""
    for key in Files._fields:
        file = getattr(chosen.files, key)
        try:
            found = download.sha256_of(folder / file.name)
        except OSError as error:
            return Availability(label, False, f"{file.name}: {error.strerror or error}")
        if found != file.sha256:
            return Availability(label, False, f"{file.name}: {WrongHash(found, file.sha256)}")
    return Availability(label, True, "holds all four files")
