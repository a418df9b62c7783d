"""Stages run again in a clean clone, and every output held against dvc.lock: what `reprogan verify` does."""

import importlib.metadata
import json
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reprogan.errors import UserError
from reprogan.tracking.provenance import LOCK_FILE, LockedStage, md5, sha256
from reprogan.training.digests import FILE as DIGESTS
from reprogan.training.digests import parts_at, read_digests
from reprogan.verify.clone import Clone, clean_clone, remove

_PINS = "requirements-compute.txt"
_PIN = re.compile(r"([\w.-]+)\s*==\s*([^\s;#\\]+)")
_LOOK_SECONDS = 0.2
_NOT_RUN = ("publish",)
_SUMS = ".sha256"  # data/code/<kind>.sha256: the files that all stages of a kind share, by `code_of_<kind>`
MISSING = "not there"


@dataclass(frozen=True)
class File:
    """One file, package or parameter: what dvc.lock or the pins say, and what was found."""

    name: str
    expected: str
    got: str

    @property
    def equal(self) -> bool:
        """Whether it is as it should be."""
        return self.expected == self.got


@dataclass(frozen=True)
class Checked:
    """One stage: its inputs that are not what it ran with, its outputs, and where its training parted, in images.

    `status` is the command's exit status.
    """

    stage: str
    inputs: list[File]
    outputs: list[File]
    status: int
    parted_at: int | None = None

    @property
    def equal(self) -> bool:
        """Whether the stage ran and every input and output is as dvc.lock has it."""
        return self.status == 0 and not self.inputs and all(file.equal for file in self.outputs)


@dataclass(frozen=True)
class Verified:
    """All stages that were checked at a commit, and how this environment is not that of the pins and the training."""

    commit: str
    stages: list[Checked]
    environment: list[File]

    @property
    def equal(self) -> bool:
        """Whether everything was reproduced."""
        return all(stage.equal for stage in self.stages)

    def as_json(self) -> str:
        """All of it, with the verdicts."""
        values = asdict(self) | {"equal": self.equal}
        for stage, found in zip(values["stages"], self.stages, strict=True):
            stage["equal"] = found.equal
            for file, output in zip(stage["outputs"], found.outputs, strict=True):
                file["equal"] = output.equal
        return json.dumps(values, indent=2)


def verify(
    root: Path,
    commit: str,
    asked: Sequence[str],
    prefix: int | None = None,
    environment: Sequence[File] = (),
) -> Verified:
    """Run stages of the repository `root` at a commit again and compare what they put out with dvc.lock there.

    Each stage gets its inputs as dvc.lock has them, so that one that differs does not make the next differ. With
    `prefix`, only trainings are run, until they have seen that many images, and only the way there is compared. `asked`
    names stages; none: all of them. `environment` is what is known to be different here from where they ran. Raises
    UserError for an unknown stage and where something cannot be had.
    """
    with clean_clone(root, commit) as clone:
        names = list(asked) or [name for name in clone.stages if name not in _NOT_RUN]
        if prefix is not None:
            names = [name for name in names if name.startswith("train@")]
            if not names:
                raise UserError("--prefix: no training among the stages; expected train@VARIANT")
        for name in names:
            if name not in clone.stages:
                known = ", ".join(sorted(clone.stages)[:8]) or "none"
                raise UserError(f"{name}: no stage in {LOCK_FILE} at {commit[:8]}; expected one of {known}, …")
        checked = [_check(clone, name, prefix) for name in names]
        return Verified(commit, checked, [*environment, *_packages(clone.root / _PINS)])


def _check(clone: Clone, name: str, prefix: int | None) -> Checked:
    stage = clone.stages[name]
    made = {out for other in clone.stages.values() for out in other.outs}
    clone.restore(path for path in stage.deps if path in made)
    for out in stage.outs:
        remove(clone.root / out)
    inputs = [*_inputs(clone, stage, made), *_parameters(clone.params(), stage)]
    print(f"reprogan: {name} again, at {clone.root}", file=sys.stderr)
    if prefix is not None:
        return _check_prefix(clone, name, inputs, prefix)
    status = clone.command(name).wait()
    outputs = [file for path, digest in stage.outs.items() for file in _compare(clone, path, digest)]
    parted = None
    if name.startswith("train@") and not all(file.equal for file in outputs):
        expected = _expected_digests(clone, name)
        got = read_digests(clone.root / f"models/{name.removeprefix('train@')}/{DIGESTS}")
        parted = parts_at(expected, got) if expected else None
    return Checked(name, inputs, outputs, status, parted)


def _check_prefix(clone: Clone, name: str, inputs: list[File], prefix: int) -> Checked:
    """Train until `prefix` images, and compare the digests on the way."""
    variant = name.removeprefix("train@")
    expected = {seen: digest for seen, digest in _expected_digests(clone, name).items() if seen <= prefix}
    if not expected:
        raise UserError(
            f"{name}: no models/{variant}/{DIGESTS} in DVC's cache; expected a model trained since such are kept; "
            "leave --prefix out"
        )
    live = clone.root / ".reprogan/live" / variant / DIGESTS
    training, last = clone.command(name), max(expected)
    while training.poll() is None and max(read_digests(live), default=-1) < last:
        time.sleep(_LOOK_SECONDS)
    stopped = training.poll() is None
    if stopped:
        training.send_signal(signal.SIGTERM)
        training.wait()
    got = {seen: digest for seen, digest in read_digests(live).items() if seen <= prefix}
    file = File(f"models/{variant}/{DIGESTS}, {last:,} images", expected[last], got.get(last, MISSING))
    return Checked(name, inputs, [file], 0 if stopped else training.returncode, parts_at(expected, got))


def _expected_digests(clone: Clone, name: str) -> dict[int, str]:
    """The digests of a training as its output has them; {} where there are none."""
    path = f"models/{name.removeprefix('train@')}"
    listed = clone.listing(path, clone.stages[name].outs[path]) if path in clone.stages[name].outs else {}
    digest = listed.get(f"{path}/{DIGESTS}")
    return read_digests(clone.cached(digest)) if digest else {}


def _compare(clone: Clone, path: str, digest: str) -> list[File]:
    """An output as it should be and as it is, file by file where it is a folder."""
    place = clone.root / path
    expected = clone.listing(path, digest)
    if not expected:
        return [File(path, digest, md5(place) if place.exists() else MISSING)]
    got = {path: place} if place.is_file() else {}
    if place.is_dir():
        got = {file.relative_to(clone.root).as_posix(): file for file in place.rglob("*") if file.is_file()}
    return [
        File(name, expected.get(name, MISSING), md5(got[name]) if name in got else MISSING)
        for name in sorted({*expected, *got})
    ]


def _inputs(clone: Clone, stage: LockedStage, made: set[str]) -> list[File]:
    """Code and data of no stage that are not what the stage ran with; code that stages share by the sums they keep."""
    found = []
    for path, digest in stage.deps.items():
        if path in made:
            continue
        clone.follow_out(path)
        place = clone.root / path
        file = File(path, digest, md5(place) if place.exists() else MISSING)
        if not file.equal:
            found.append(file)
    for path, digest in {**stage.deps, **stage.outs}.items():
        if path.endswith(_SUMS) and clone.cached(digest).is_file():
            of_files = _changed(clone.root, clone.cached(digest).read_text(encoding="utf-8"))
            found = [file for file in found if not any(other.name.startswith(f"{file.name}/") for other in of_files)]
            found += [file for file in of_files if file.name not in {other.name for other in found}]
    return found


def _changed(root: Path, sums: str) -> list[File]:
    """The files that `sums`, lines of sha256 and path, do not have as they are below `root`."""
    files = []
    for line in sums.splitlines():
        digest, _, path = line.partition("  ")
        files.append(File(path, digest, sha256(root / path) if (root / path).is_file() else MISSING))
    return [file for file in files if not file.equal]


def _parameters(params: Any, stage: LockedStage) -> list[File]:
    """Parameters whose values are not those that the stage ran with."""
    found = []
    for key, value in stage.params.items():
        now = params
        for part in key.split("."):
            now = now.get(part, MISSING) if isinstance(now, Mapping) else MISSING
        found += [
            File(f"params.yaml: {name}", json.dumps(expected), json.dumps(got))
            for name, expected, got in _differences(key, value, now)
        ]
    return found


def _differences(key: str, expected: Any, got: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        names = [*expected, *(name for name in got if name not in expected)]
        return [
            each
            for name in names
            for each in _differences(f"{key}.{name}", expected.get(name, MISSING), got.get(name, MISSING))
        ]
    return [] if expected == got else [(key, expected, got)]


def environment_differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[File]:
    """Where this environment is not the one that a training recorded: processor, threads, torch and the like."""
    files = [File(f"environment.{key}", value, here.get(key, MISSING)) for key, value in sorted(recorded.items())]
    return [file for file in files if not file.equal]


def _packages(pins: Path) -> list[File]:
    """Packages that the pins of the commit name and that are installed here in another version."""
    found = []
    for line in pins.read_text(encoding="utf-8").splitlines() if pins.is_file() else []:
        if match := _PIN.match(line):
            try:
                installed = importlib.metadata.version(match[1])
            except importlib.metadata.PackageNotFoundError:
                installed = MISSING
            file = File(match[1], match[2], installed)
            found += [] if file.expected == file.got.partition("+")[0] else [file]
    return found
