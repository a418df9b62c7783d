"""What dvc.lock does not hold: stages that a change has reached, those that come after, and what is only not here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.config import PARAMS_FILE, Parameters
from reprogan.tracking.provenance import LOCK_FILE, locked_stages
from reprogan.versions import value_at

_CONSTANT = "data/checked"  # an output that never changes: what waits for it does not run again
_GONE = ("deleted", "not in cache")


@dataclass(frozen=True)
class Stale:
    """Stages by what is the matter with them, each in the order in which they run.

    `changed`: {stage: why} of what a change of code, parameters or data has reached. `after`: stages that come after
    one of these, and run unless that turns out to give what it gave before. `missing`: nothing has changed, but an
    output is not here. `shared` and `apart`: the variants among `changed` and `after` that others of them build on,
    and those that can be trained side by side once these are there; of variants that were asked for, only what these
    need.
    """

    changed: dict[str, tuple[str, ...]]
    after: tuple[str, ...]
    missing: tuple[str, ...]
    shared: tuple[str, ...]
    apart: tuple[str, ...]

    @property
    def to_run(self) -> set[str]:
        """All that has to run, or may have to."""
        return {*self.changed, *self.after}

    @property
    def trainings(self) -> list[str]:
        """The variants that are to be trained again."""
        return [name.partition("@")[2] for name in (*self.changed, *self.after) if name.startswith("train@")]


def find_stale(params: Parameters, root: Path, asked: Sequence[str] = ()) -> Stale:
    """Compare the repository `root` with its dvc.lock, as `dvc status` does.

    Of variants that are `asked` for, only the stages that their scores need are looked at; none: all stages.
    """
    from dvc.repo import Repo

    from reprogan.lockfile import parameters_kept

    with Repo(str(root)) as repo, parameters_kept():
        found = repo.status()
        stages = {
            stage.addressing: (
                {_path(dep, root) for dep in stage.deps if not hasattr(dep, "params")},
                {_path(out, root) for out in stage.outs},
            )
            for stage in repo.index.stages
            if getattr(stage, "name", None)
        }
    locked = locked_stages(root)
    changed: dict[str, tuple[str, ...]] = {}
    missing = []
    looked_at = _before(stages, {f"evaluate@{name}" for name in asked}) if asked else set(stages)
    for name in (name for name in stages if name in looked_at):
        why = tuple(_reasons(found.get(name, []), locked[name].params if name in locked else {}, params))
        if name not in locked:
            changed[name] = (f"not in {LOCK_FILE}",)
        elif why:
            changed[name] = why
        elif name in found:
            missing.append(name)
    after = _after(stages, changed) & looked_at
    to_run = {*changed, *after}
    variants = [name for name in params.variants if any(f"{kind}@{name}" in to_run for kind in ("train", "evaluate"))]
    shared = tuple(name for name in variants if _others_build_on(name, stages, to_run))
    return Stale(
        changed,
        tuple(name for name in stages if name in after),
        tuple(name for name in missing if name not in after),
        shared,
        tuple(name for name in variants if name not in shared and name in (asked or params.variants)),
    )


def _path(output: Any, root: Path) -> str:
    path = Path(output.fs_path)
    return (path.relative_to(root.resolve()) if path.is_relative_to(root.resolve()) else path).as_posix()


def _reasons(entries: Iterable[Any], locked: dict[str, Any], params: Parameters) -> Iterable[str]:
    """Why `dvc status` calls a stage changed, a line a reason; none for what is only not here."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for path, state in entry.get("changed deps", {}).items():
            if isinstance(state, dict):
                for key in state:
                    yield from _parameters(key, locked.get(key), params)
            elif state not in _GONE:
                yield f"{path} {state}"
        for path, state in entry.get("changed outs", {}).items():
            if state not in _GONE:
                yield f"{path} {state}"


def _parameters(key: str, before: Any, params: Parameters) -> Iterable[str]:
    """The parameters at and below `key` that are not what they were."""
    now = value_at(params.model_dump(mode="json"), key)
    for name, (old, new) in different(before, now, key).items():
        yield f"{name} {old} → {new}"


def different(before: Any, now: Any, key: str) -> dict[str, tuple[Any, Any]]:
    """{dotted key: (value before, value now)} of what differs at or below `key`; None for what is not there."""
    if isinstance(before, dict) and isinstance(now, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in {**before, **now}:
            found |= different(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        return found
    return {} if before == now and isinstance(before, bool) == isinstance(now, bool) else {key: (before, now)}


def _after(stages: dict[str, tuple[set[str], set[str]]], changed: Iterable[str]) -> set[str]:
    """The stages that read what these, or others after them, put out; without `changed` themselves."""
    first = set(changed)
    found, new = set[str](), set(first)
    while new:
        outs = {out for name in new for out in stages[name][1]} - {_CONSTANT}
        new = {
            name
            for name, (deps, _) in stages.items()
            if name not in found and name not in first and any(_reads(dep, out) for dep in deps for out in outs)
        }
        found |= new
    return found


def _before(stages: dict[str, tuple[set[str], set[str]]], last: Iterable[str]) -> set[str]:
    """These stages, and all whose outputs they need."""
    found, new = set[str](), {name for name in last if name in stages}
    while new:
        found |= new
        deps = {dep for name in new for dep in stages[name][0]}
        new = {
            name
            for name, (_, outs) in stages.items()
            if name not in found and any(_reads(dep, out) for dep in deps for out in outs)
        }
    return found


def _reads(dep: str, out: str) -> bool:
    return dep == out or out.startswith(f"{dep}/") or dep.startswith(f"{out}/")


def _others_build_on(variant: str, stages: dict[str, tuple[set[str], set[str]]], to_run: set[str]) -> bool:
    """Whether a stage that is to run, of another variant or a reference, reads this variant's model."""
    model = f"models/{variant}"
    return any(
        _reads(dep, model)
        for name in to_run
        if name.partition("@")[2] not in (variant, "") and name in stages
        for dep in stages[name][0]
    )


def lines(stale: Stale) -> list[str]:
    """What is stale, for people."""
    found = [f"{name}: {'; '.join(why)}" for name, why in stale.changed.items()]
    if stale.after:
        found.append(f"after these, unless they give what they gave before: {', '.join(stale.after)}")
    if stale.missing:
        found.append(f"not here, and unchanged: {len(stale.missing)} stages' outputs; `dvc pull` brings what is stored")
    return found or [f"nothing: {LOCK_FILE} holds what {PARAMS_FILE}, code and data say"]
