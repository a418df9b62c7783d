"""A clean clone of the repository at a commit, in a temporary folder, and its data by their hashes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.blocks import read_yaml
from reprogan.data.mnist import MIRROR_VARIABLE
from reprogan.errors import UserError
from reprogan.tracking.provenance import LockedStage, locked_stages
from reprogan.tracking.store import URI_VARIABLE
from reprogan.training.follower import TRACKING
from reprogan.warm import STAGES

_FOLDERS = "up/to/here"  # above the clone: paths of params.yaml may lead out of the repository, as ../pictures
_LOCAL_CONFIG = ".dvc/config.local"
_DOWNLOADS = "data/raw"
_NOT_PASSED_ON = (URI_VARIABLE, STAGES, "DVC_EXP_NAME", "PYTHONPATH")


@dataclass(frozen=True)
class Clone:
    """The clone, the repository it is of, and the stages that its dvc.lock holds."""

    root: Path
    of: Path
    cache: Path
    stages: dict[str, LockedStage]

    def restore(self, paths: Iterable[str]) -> None:
        """Put outputs of stages where they belong, as dvc.lock has them. Raises UserError where they are nowhere."""
        wanted = sorted(paths)
        if not wanted:
            return
        for path in wanted:
            remove(self.root / path)
        if self._dvc("checkout", *wanted) and self._dvc("pull", "--no-run-cache", *wanted):
            raise UserError(
                f"{', '.join(wanted)}: neither DVC's cache nor a remote holds what dvc.lock says; "
                "run `dvc fetch` or `dvc repro` first"
            )

    def listing(self, path: str, md5: str) -> dict[str, str]:
        """{path: md5} of the files of an output as dvc.lock has it; {} where the cache does not know them."""
        if not md5.endswith(".dir"):
            return {path: md5}
        known = self.cached(md5)
        if not known.is_file():
            return {}
        entries: list[dict[str, str]] = json.loads(known.read_text(encoding="utf-8"))
        return {f"{path}/{entry['relpath']}": entry["md5"] for entry in entries}

    def cached(self, md5: str) -> Path:
        """Where DVC's cache keeps what has this md5."""
        return self.cache / "files/md5" / md5[:2] / md5[2:]

    def follow_out(self, path: str) -> None:
        """Let a path that leads out of the repository lead to the same place from the clone."""
        place = Path(os.path.normpath(self.root / path))
        if Path(path).is_absolute() or place.is_relative_to(self.root) or place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((self.of / path).resolve())

    def command(self, stage: str) -> "subprocess.Popen[bytes]":
        """Start a stage's command with this Python, apart from any tracking store; it prints to standard error."""
        # Byte code would lie in the folders that later stages depend on.
        apart = {"DVC_ROOT": str(self.root), TRACKING: "off", "PYTHONDONTWRITEBYTECODE": "1"}
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_PASSED_ON}
        if (mirror := environment.get(MIRROR_VARIABLE)) and (self.of / mirror).is_dir():
            environment[MIRROR_VARIABLE] = str((self.of / mirror).resolve())
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self.stages[stage].command}"],
            cwd=self.root,
            env=environment | apart,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )

    def params(self) -> Any:
        """What params.yaml says there."""
        return read_yaml(self.root / "params.yaml")

    def _dvc(self, *arguments: str) -> int:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments, "--quiet"], cwd=self.root, stdin=subprocess.DEVNULL,
            stdout=sys.stderr, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def clean_clone(root: Path, commit: str) -> Iterator[Clone]:
    """A clone of the repository `root` at a commit, until the block ends. Raises UserError where git refuses.

    It shares DVC's cache with the repository: outputs are read from it, and what is pulled is added to it.
    """
    with tempfile.TemporaryDirectory(prefix="reprogan-verify-") as folder:
        top = Path(_run(root, "git", "rev-parse", "--show-toplevel"))
        below = root.resolve().relative_to(top.resolve())
        place = Path(folder).resolve() / _FOLDERS / top.name
        _run(root, "git", "clone", "--quiet", "--shared", "--no-checkout", str(top), str(place))
        _run(place, "git", "checkout", "--quiet", "--detach", commit)
        clone = place / below
        if (root / _DOWNLOADS).is_dir():  # each file is checked against its sha256 before it is used
            shutil.copytree(root / _DOWNLOADS, clone / _DOWNLOADS, dirs_exist_ok=True)
        if (root / _LOCAL_CONFIG).is_file():
            shutil.copyfile(root / _LOCAL_CONFIG, clone / _LOCAL_CONFIG)
        cache = _share_cache(root, clone)
        yield Clone(clone, root.resolve(), cache, locked_stages(clone))


def _share_cache(root: Path, clone: Path) -> Path:
    """Let a clone copy its data out of the cache that the repository `root` uses; where that is."""
    from dvc.config import Config, ConfigError  # its command takes seconds for each setting

    try:
        cache = Config(str(root / ".dvc"))["cache"].get("dir") or root / ".dvc/cache"
        with Config(str(clone / ".dvc")).edit("local") as local:
            local["cache"] |= {"dir": str(cache), "type": ["copy"]}
    except ConfigError as error:
        raise UserError(f"{root / '.dvc'}: {' '.join(str(error).split())}; expected DVC's settings") from error
    return Path(cache)


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        shown = " ".join(part for part in command if part != sys.executable)
        raise UserError(f"`{shown}`: {said}; expected a git repository with a commit that has dvc.lock")
    return done.stdout.strip()
