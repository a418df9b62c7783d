"""Publishing what another revision holds, as a champion of old that a lost store no longer knows."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from reprogan.config import load
from reprogan.errors import UserError
from reprogan.tracking.provenance import resolve
from reprogan.tracking.publish import Published, publish
from reprogan.verify.clone import Clone, clean_clone

_STAGES = ("train", "sample", "evaluate")


def publish_revision(
    root: Path, revision: str, variants: Sequence[str], watch: Callable[[list[str]], Iterable[str]] = iter
) -> list[Published]:
    """Make MLflow show `variants` (none: all) as a revision of the repository `root` holds them.

    Their files come from DVC's cache or remote; nothing here is checked out. No version of these becomes challenger
    where there is one. Raises UserError for a revision that is not there, and where its files are nowhere.
    """
    commit = resolve(root, revision)
    if commit is None:
        raise UserError(f"{revision}: git knows no such revision; expected a branch, a tag or a commit")
    with clean_clone(root, commit) as clone:
        params = load(clone.root / "params.yaml")
        for name in variants:
            params.variant(name)
        names = [name for name in variants or params.variants if f"evaluate@{name}" in clone.stages]
        clone.restore(_files(clone, names))
        return publish(params, clone.root, names, watch, newest=False, history=root)


def _files(clone: Clone, names: Sequence[str]) -> set[str]:
    """What the stages of these variants put out, and the data that they read; metrics/ are git's."""
    made = {out for stage in clone.stages.values() for out in stage.outs if not out.startswith("metrics/")}
    stages = [clone.stages[stage] for name in names for kind in _STAGES if (stage := f"{kind}@{name}") in clone.stages]
    data = {path for stage in stages for path in stage.deps if path.startswith("data/processed/")}
    return {path for stage in stages for path in stage.outs if path in made} | (data & made)
