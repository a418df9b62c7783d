"""One side of a comparison as files hold it: a variant in the workspace, or at a revision of git's."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any, NoReturn

from reprogan.blocks import parse_yaml, read_yaml
from reprogan.comparison import Side
from reprogan.config import PARAMS_FILE
from reprogan.errors import UserError
from reprogan.report.scores import SCORES
from reprogan.tracking.provenance import LOCK_FILE

_GIT_SECONDS = 20


def read_side(asked: str, root: Path) -> Side:
    """What `asked` names, VARIANT or VARIANT@REVISION, of the repository at `root`.

    Parameters of another revision are not held against today's blocks: it may have had others. Scores of another
    revision come from DVC's cache, or from its remote. Raises UserError for a revision or a variant that is not there,
    one without scores, and a file that is damaged.
    """
    variant, at, revision = asked.partition("@")
    if not at:
        params = _mapping(read_yaml(root / PARAMS_FILE), PARAMS_FILE)
        lock = _mapping(read_yaml(root / LOCK_FILE), LOCK_FILE) if (root / LOCK_FILE).is_file() else {}
        _expect_variant(variant, params, PARAMS_FILE)
        scores = read_scores(root, variant)
        if scores is None:
            path = _path(variant)
            raise UserError(
                f"{path}: not there; run `dvc repro evaluate@{variant}`, or `dvc checkout` if it was scored"
            )
    else:
        commit = _commit(asked, revision, root)
        params = _mapping(_yaml_at(root, revision, commit, PARAMS_FILE), f"{revision}:{PARAMS_FILE}")
        _expect_variant(variant, params, f"{revision}:{PARAMS_FILE}")
        lock = _mapping(_yaml_at(root, revision, commit, LOCK_FILE), f"{revision}:{LOCK_FILE}")
        scores = _scores_at(root, revision, commit, variant, lock)
    return Side(asked, variant, params, scores, _changed(variant, params, lock))


def read_scores(root: Path, variant: str) -> dict[str, Any] | None:
    """A variant's scores in the workspace; None where there are none. Raises UserError for a file that is damaged."""
    path = _path(variant)
    if not (root / path).is_file():
        return None
    return parse_scores((root / path).read_bytes(), path, f"run `dvc checkout --force scores/{variant}`")


def parse_scores(content: bytes, where: str, remedy: str) -> dict[str, Any]:
    """What a scores.json says. Raises UserError where it is not what `evaluate` writes."""

    def refuse(found: str) -> NoReturn:
        raise UserError(f"{where}: damaged: {found}; expected scores as `evaluate` writes them; {remedy}")

    try:
        scores = json.loads(content)
    except ValueError as error:
        refuse(f"not JSON ({error})")
    if not isinstance(scores, dict):
        refuse(f"a {type(scores).__name__}")
    for score in SCORES:
        if score.key in scores and not _is_number(scores[score.key]):
            refuse(f"{score.key} is {scores[score.key]!r}")
    for kind in ("sets", "training"):
        lists = scores.get(kind, {})
        if not isinstance(lists, dict):
            refuse(f"{kind} is {lists!r}")
        for key, values in lists.items():
            if not isinstance(values, list) or not all(map(_is_number, values)):
                refuse(f"{kind}.{key} is {values!r}")
    return scores


def _path(variant: str) -> str:
    return f"scores/{variant}/scores.json"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: found {type(value).__name__}; expected a mapping of keys to values")
    return value


def _expect_variant(variant: str, params: dict[str, Any], where: str) -> None:
    known = _mapping(params.get("variants"), f"{where}: variants")
    if variant not in known:
        raise UserError(f"{where}: no variant {variant!r}; expected one of {', '.join(map(str, known))}")
    _mapping(known[variant], f"{where}: variants.{variant}")


def _commit(asked: str, revision: str, root: Path) -> str:
    """The commit's name by its hash: no later command can take that for an option."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not revision or commit is None:
        raise UserError(
            f"{asked}: git knows no revision {revision!r}; expected a branch, a tag or a commit; `git log` shows them"
        )
    return commit.decode().strip()


def _yaml_at(root: Path, revision: str, commit: str, file: str) -> Any:
    """What a YAML file said at a commit. Raises UserError where there was none."""
    content = _git(root, "show", f"{commit}:./{file}")
    if content is None:
        raise UserError(f"{revision}: has no {file}; expected a revision of this pipeline that holds one")
    return parse_yaml(content.decode(errors="replace"), f"{revision}:{file}")


def _scores_at(root: Path, revision: str, commit: str, variant: str, lock: dict[str, Any]) -> dict[str, Any]:
    outs = {str(out.get("path")) for stage in _stages(lock).values() for out in stage.get("outs", [])}
    there = f"in a checkout of it (`git worktree add ../there {revision}`)"
    if f"scores/{variant}" not in outs:
        if any(out.startswith("scores/") for out in outs):
            raise UserError(f"{revision}: {LOCK_FILE} has no scores/{variant} there; run `dvc repro` {there}")
        raise UserError(
            f"{revision}: {LOCK_FILE} has no scores/ there: from before scores were kept, or nothing was scored; "
            "expected a later revision"
        )
    content = read_at(root, commit, _path(variant))
    if content is None:
        raise UserError(
            f"{revision}: neither DVC's cache nor a remote holds its scores/{variant}; run `dvc fetch` or `dvc repro` "
            f"{there}"
        )
    return parse_scores(content, f"{revision}:{_path(variant)}", f"run `dvc repro evaluate@{variant}` {there}")


def read_at(root: Path, commit: str, path: str) -> bytes | None:
    """What an output of the pipeline held at a commit; None where neither DVC's cache nor a remote has it."""
    import dvc.api
    from dvc.config import Config
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexError

    # DVC takes the folder for that of the git repository, which holds ours at `below`.
    top, below = (_git(root, "rev-parse", "--show-toplevel", "--show-prefix") or b"\n").decode().split("\n")[:2]
    try:
        today = dict(Config(str(root / ".dvc")))  # else DVC asks only the remote that it had at that revision
        content: bytes = dvc.api.read(below + path, repo=top, rev=commit, mode="rb", config=today)
    except (DvcException, DataIndexError, OSError):
        return None
    return content


def _stages(lock: dict[str, Any]) -> dict[str, dict[str, Any]]:
    stages = _mapping(lock.get("stages") or {}, f"{LOCK_FILE}: stages")
    return {name: _mapping(stage, f"{LOCK_FILE}: stages.{name}") for name, stage in stages.items()}


def _changed(variant: str, params: dict[str, Any], lock: dict[str, Any]) -> tuple[str, ...]:
    """Parameters of the variant's stages whose values are not those that dvc.lock says the stages ran with."""
    found: dict[str, None] = {}
    stages = [f"{stage}@{variant}" for stage in ("train", "sample", "evaluate")]
    if isinstance(reference := value_at(params, f"variants.{variant}.reference"), str):
        stages.append(f"reference@{Path(reference).stem}")
    for stage in stages:
        locked = _stages(lock).get(stage, {})
        for key, value in locked.get("params", {}).get(PARAMS_FILE, {}).items():
            if value_at(params, key) != value:
                found[key] = None
    return tuple(found)


def value_at(params: Any, key: str) -> Any:
    """What stands at a dotted key; None where nothing does."""
    for name in key.split("."):
        params = params.get(name) if isinstance(params, dict) else None
    return params


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git prints; None where it says no. Raises UserError if there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"git: {error}; expected git on the PATH, for revisions") from error
    return None if done.returncode else done.stdout
