"""Checkpoints of trainings that run, copied to DVC's remote now and then: another machine can go on from them.

They lie apart from what DVC stores, as reprogan/checkpoints/<variant>/<fingerprint>/<images seen>.ckpt below the
remote's root, and are removed once the model is stored.
"""

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reprogan.atomic import write_atomically
from reprogan.errors import UserError
from reprogan.retrain.storage import Storage

if TYPE_CHECKING:
    from dvc.data_cloud import Remote

_PLACE = ("reprogan", "checkpoints")
_SUFFIX = ".ckpt"


class SharedCheckpoints:
    """The checkpoints below `scratch`/checkpoints, and their copies in `storage`.

    What lay here before is nobody's concern: only what comes from there, or is new here, is copied and removed.
    """

    def __init__(self, scratch: Path, storage: Storage) -> None:
        self._folder = scratch / "checkpoints"
        self._storage = storage
        self._before = self._here()  # (variant, fingerprint, file)
        self._known: set[tuple[str, ...]] = set()  # that are there

    def bring(self, variants: Iterable[str]) -> list[str]:
        """Copy the newest checkpoint of each training of these variants from the remote; what was brought, in words."""
        brought: list[str] = []

        def work(remote: "Remote") -> None:
            for variant in variants:
                for fingerprint, files in _listed(remote, variant).items():
                    name = max(files)
                    path = self._folder / variant / fingerprint / name
                    here = sorted(self._folder.glob(f"{variant}/{fingerprint}/*{_SUFFIX}"))
                    if not here or here[-1].name < name:
                        with remote.fs.open(_join(remote, variant, fingerprint, name), "rb") as file:
                            write_atomically(path, file.read())
                        brought.append(f"{variant} at {int(path.stem):,} images")
                    self._known |= {(variant, fingerprint, file) for file in files}  # older ones go with the next copy

        self._storage.with_remote(work)
        return brought

    def store(self) -> None:
        """Copy what is new here to the remote; what it takes the place of goes."""
        here = self._here() - self._before
        new = here - self._known
        if not new:
            return

        def work(remote: "Remote") -> None:
            for parts in sorted(new):
                try:
                    content = self._folder.joinpath(*parts).read_bytes()
                except FileNotFoundError:  # a newer one has taken its place
                    continue
                _write(remote, parts, content)
                self._known.add(parts)
            for parts in {known for known in self._known - here if any(known[:2] == one[:2] for one in here)}:
                _remove(remote, _join(remote, *parts))
                self._known.discard(parts)

        self._storage.with_remote(work)

    def forget(self, variants: Iterable[str]) -> None:
        """Remove from the remote what trainings of these variants left that are done: once their models are stored."""
        here = self._here()
        done = {one[:2] for one in self._known if one[0] in variants and not any(one[:2] == each[:2] for each in here)}

        def work(remote: "Remote") -> None:
            for training in done:
                for left in remote.fs.find(_join(remote, *training)):
                    _remove(remote, left)

        if done:
            self._storage.with_remote(work)
            self._known = {one for one in self._known if one[:2] not in done}

    def _here(self) -> set[tuple[str, ...]]:
        return {path.relative_to(self._folder).parts for path in self._folder.glob(f"*/*/*{_SUFFIX}")}


class Keeper(threading.Thread):
    """Stores checkpoints every so many seconds until it is told to stop; what fails is said once and tried again."""

    def __init__(self, checkpoints: SharedCheckpoints, seconds: float) -> None:
        super().__init__(name="checkpoints", daemon=True)
        self._checkpoints = checkpoints
        self._seconds = seconds
        self._done = threading.Event()
        self._failed = False

    def run(self) -> None:
        while not self._done.wait(self._seconds):
            self._store()

    def finish(self) -> None:
        """Stop, and store what there is now."""
        self._done.set()
        self.join()
        self._store()

    def _store(self) -> None:
        try:
            self._checkpoints.store()
            self._failed = False
        except (UserError, OSError) as error:
            if not self._failed:
                print(f"reprogan: checkpoints are not copied: {error}; trying again", file=sys.stderr)
            self._failed = True


def _join(remote: "Remote", *parts: str) -> str:
    joined: str = remote.fs.join(remote.path, *_PLACE, *parts)
    return joined


def _listed(remote: "Remote", variant: str) -> dict[str, list[str]]:
    """{fingerprint: names of checkpoints} that the remote has of a variant."""
    place = _join(remote, variant)
    found: dict[str, list[str]] = {}
    if remote.fs.exists(place):
        for path in remote.fs.find(place):
            *_, fingerprint, name = remote.fs.parts(path)
            if name.endswith(_SUFFIX):
                found.setdefault(fingerprint, []).append(name)
    return found


def _remove(remote: "Remote", place: str) -> None:
    if remote.fs.exists(place):
        remote.fs.remove(place)


def _write(remote: "Remote", parts: tuple[str, ...], content: bytes) -> None:
    """Whole or not at all: under another name first. (A checkpoint that was cut short is skipped, besides.)"""
    place = _join(remote, *parts)
    remote.fs.makedirs(remote.fs.parent(place))
    with remote.fs.open(f"{place}.part", "wb") as file:
        file.write(content)
    remote.fs.move(f"{place}.part", place)
