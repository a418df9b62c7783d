"""Where a model comes from: the git commit, what dvc.lock says, the bytes themselves."""

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprogan.blocks import read_yaml

LOCK_FILE = "dvc.lock"
PIPELINE_FILES = ("params.yaml", "dvc.yaml", LOCK_FILE)
COMMIT = "git.commit"
DIRTY = "git.dirty"

_GIT_SECONDS = 20


@dataclass(frozen=True)
class LockedStage:
    """What dvc.lock says of one stage: the md5 of each of its deps and outs, by path, its command and parameters.

    `params` are {dotted key of params.yaml: value}.
    """

    deps: dict[str, str]
    outs: dict[str, str]
    command: str = ""
    params: dict[str, Any] = field(default_factory=dict)


def locked_stages(root: Path) -> dict[str, LockedStage]:
    """What the `dvc.lock` of `root` says, by stage; nothing where there is no such file."""
    path = root / LOCK_FILE
    return parse_lock(read_yaml(path)) if path.is_file() else {}


def parse_lock(content: Any) -> dict[str, LockedStage]:
    """What a parsed `dvc.lock` says, by stage."""
    stages: dict[str, Any] = (content or {}).get("stages", {})

    def files(stage: dict[str, Any], kind: str) -> dict[str, str]:
        return {entry["path"]: entry.get("md5", "") for entry in stage.get(kind, [])}

    return {
        name: LockedStage(
            files(stage, "deps"),
            files(stage, "outs"),
            stage.get("cmd", ""),
            dict(stage.get("params", {}).get("params.yaml", {})),
        )
        for name, stage in stages.items()
    }


def sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """The md5 by which DVC names a file, or a folder (ending in `.dir`: of the JSON list of its files' md5)."""
    if path.is_dir():
        files = sorted(
            (file for file in path.rglob("*") if file.is_file()), key=lambda file: file.relative_to(path).as_posix()
        )
        listing = [{"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def known_md5(root: Path) -> Iterator[Callable[[Path], str]]:
    """As `md5`, of a file: what DVC, in its repository `root`, has hashed and nobody has changed is not read again."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc_data.hashfile.hash import hash_file
    from dvc_objects.fs.local import localfs

    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        yield md5
        return
    with repo:
        yield lambda path: str(hash_file(str(path.resolve()), localfs, "md5", state=repo.state)[1].value)


def git_commit(root: Path) -> dict[str, str]:
    """The tags git.commit and git.dirty (changes or new files that are not committed); {} where git knows nothing."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    changes = _git(root, "status", "--porcelain")
    if not commit or changes is None:
        return {}
    return {COMMIT: commit, DIRTY: "true" if changes else "false", "mlflow.source.git.commit": commit}


def commit_tags(found: dict[str, str], held: dict[str, str], locked: bool) -> dict[str, str]:
    """Of the git tags `found` now, those to set on a run that holds the tags `held`.

    `locked`: dvc.lock names these very bytes. A model is made before the commit that holds it exists, so a run
    is bound to a commit anew until it is one that is clean and holds the model; then never again.
    """
    if not found or held.get(DIRTY) == "false":
        return {}
    exact = locked and found[DIRTY] == "false"
    if DIRTY in held and not exact:
        return {}
    return found | {DIRTY: "false" if exact else "true"}


def resolve(root: Path, revision: str) -> str | None:
    """The commit that a branch, tag or other name stands for; None where git knows no such thing."""
    return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def first_with(root: Path, path: str, text: str) -> str | None:
    """The first commit in whose version of a file `text` stands; None where git knows none."""
    found = _git(root, "log", "--reverse", "--format=%H", f"-S{text}", "--", path)
    return found.splitlines()[0] if found else None


def file_at(root: Path, commit: str, path: str) -> str | None:
    """What a file of the repository `root` holds at a commit; None where git knows no such thing."""
    if not re.fullmatch(r"[0-9a-f]{4,64}", commit):
        return None
    return _git(root, "show", f"{commit}:./{path}")


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, stripped; None if there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
