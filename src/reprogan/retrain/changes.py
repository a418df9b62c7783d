"""What a retrain changed: dvc.lock as it was committed against dvc.lock as it is, with the scores of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.blocks import parse_yaml
from reprogan.comparison import Comparison, Side, compare
from reprogan.config import Parameters
from reprogan.errors import UserError
from reprogan.retrain.stale import different
from reprogan.tracking.provenance import LOCK_FILE, LockedStage, file_at, locked_stages, parse_lock
from reprogan.versions import parse_scores, read_at, read_scores

KINDS = ("train", "sample", "evaluate")
GRID = "grid.png"


@dataclass(frozen=True)
class Change:
    """One variant before and after. `comparison` is None, and `why_not` says why, where one side has no scores.

    `parameters`: {dotted key: (before, after)}; `code` and `data`: paths of what its stages read that is not the same;
    `outs`: {path: (md5 before, md5 after)}; `grids`: the picture before and after, as PNG.
    """

    variant: str
    parameters: dict[str, tuple[Any, Any]]
    code: tuple[str, ...]
    data: tuple[str, ...]
    outs: dict[str, tuple[str, str]]
    comparison: Comparison | None
    why_not: str
    grids: tuple[bytes | None, bytes | None]


def read_changes(params: Parameters, root: Path, commit: str) -> list[Change]:
    """What is not as it was at `commit`, a variant each, in the order of params.yaml."""
    text = file_at(root, commit, LOCK_FILE)
    before = parse_lock(parse_yaml(text, f"{commit[:12]}:{LOCK_FILE}")) if text else {}
    after = locked_stages(root)
    found = (_change(name, root, commit, before, after) for name in params.variants)
    return [change for change in found if change is not None]


def _change(
    variant: str, root: Path, commit: str, before: Mapping[str, LockedStage], after: Mapping[str, LockedStage]
) -> Change | None:
    nothing = LockedStage({}, {})
    parameters: dict[str, tuple[Any, Any]] = {}
    read: set[str] = set()
    outs: dict[str, tuple[str, str]] = {}
    for kind in KINDS:
        old, new = (lock.get(f"{kind}@{variant}", nothing) for lock in (before, after))
        if new.outs == old.outs:
            continue
        parameters |= different(_nested(old.params), _nested(new.params), "")
        read |= {path for path in {*old.deps, *new.deps} if old.deps.get(path) != new.deps.get(path)}
        outs |= {path: (old.outs.get(path, ""), md5) for path, md5 in new.outs.items() if old.outs.get(path) != md5}
    if not outs:
        return None
    shared = [path for path in read if path.startswith("data/code/")]
    read |= {file for path in shared for file in _files_of(Path(path).stem, before, after)}
    code = tuple(sorted(path for path in read if path.startswith(("src/", "stages/", "requirements"))))
    data = tuple(sorted(path for path in read if path not in code and path not in shared and _others(path, variant)))
    sides, why_not = [], ""
    for label, lock, scores in (
        ("before", before, lambda: _scores_at(root, commit, variant)),
        ("after", after, lambda: read_scores(root, variant)),
    ):
        try:
            found = scores()
        except UserError as error:
            found, why_not = None, str(error)
        if found is not None:
            sides.append(Side(label, variant, _params_of(variant, lock), found))
        elif not why_not:
            why_not = f"no scores {label}"
    comparison = compare(*sides) if len(sides) == 2 else None
    return Change(variant, parameters, code, data, outs, comparison, why_not, _grids(root, commit, variant, before))


def _files_of(kind: str, before: Mapping[str, LockedStage], after: Mapping[str, LockedStage]) -> set[str]:
    """The files that all stages of a kind run and that are not what they were."""
    old, new = (lock.get(f"code_of_{kind}", LockedStage({}, {})).deps for lock in (before, after))
    return {path for path in {*old, *new} if old.get(path) != new.get(path)}


def _others(path: str, variant: str) -> bool:
    return path not in (f"models/{variant}", f"samples/{variant}")


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} => {"a": {"b": 1}}."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *blocks, last = key.split(".")
        inner = found
        for name in blocks:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return found


def _params_of(variant: str, lock: Mapping[str, LockedStage]) -> dict[str, Any]:
    """The parameters that a variant's stages ran with, as params.yaml has them."""
    flat: dict[str, Any] = {}
    for kind in KINDS:
        flat |= lock.get(f"{kind}@{variant}", LockedStage({}, {})).params
    found = _nested(flat)
    found.setdefault("variants", {}).setdefault(variant, {})
    return found


def _scores_at(root: Path, commit: str, variant: str) -> dict[str, Any] | None:
    path = f"scores/{variant}/scores.json"
    content = read_at(root, commit, path)
    return None if content is None else parse_scores(content, f"{commit[:12]}:{path}", "run `dvc repro` there")


def _grids(
    root: Path, commit: str, variant: str, before: Mapping[str, LockedStage]
) -> tuple[bytes | None, bytes | None]:
    path = f"samples/{variant}/{GRID}"
    old = read_at(root, commit, path) if f"sample@{variant}" in before else None
    return old, (root / path).read_bytes() if (root / path).is_file() else None
