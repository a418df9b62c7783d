"""Which version is the champion: decided by what both draw, written down, and taken back if it was a mistake."""

import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.comparison import Estimate
from reprogan.config import Parameters
from reprogan.entry import repository_root
from reprogan.errors import UserError
from reprogan.report.scores import Score
from reprogan.tracking import decisions, registry
from reprogan.tracking import run as runs
from reprogan.tracking.card import with_decisions
from reprogan.tracking.decisions import Decision, Model, Outcome
from reprogan.tracking.fetch import fetched
from reprogan.tracking.judging import (
    EFFECT,
    FEWEST_SETS,
    Judged,
    broken_floors,
    find_score,
    fresh_seed,
    is_better,
    judge,
    paired,
)
from reprogan.tracking.provenance import COMMIT, DIRTY
from reprogan.tracking.seed_models import seed_models
from reprogan.tracking.store import Tracking, connect

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_BUSY = "reprogan.promotion"  # the tag of a registered model while somebody decides about it
_SETTLE_SECONDS = 0.5  # two that set the tag at once both see the later one
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Asked:
    """How to decide: by which score, from what difference on, by how many sample sets of how many images.

    None: `EFFECT` of the champion's score; as many images as the pipeline draws; the challenger, whichever that is, not
    the version whose weights have this sha256.
    """

    metric: str = "frechet_distance"
    min_effect: float | None = None
    sets: int = FEWEST_SETS
    count: int | None = None
    sha256: str | None = None


def promote(params: Parameters, root: Path, variant: str, asked: Asked) -> Decision:
    """Make the challenger of a variant the champion if it is better beyond chance, by enough, and no floor is broken.

    Whatever is decided is written: to promotions.jsonl below `root`, to the version's tags and its card. The first
    champion has only the floors to keep. Raises UserError where there is nothing to decide, TrackingFailed if MLflow
    fails.
    """
    if asked.sets < FEWEST_SETS:
        raise UserError(f"--sets {asked.sets}; expected {FEWEST_SETS} or more, for an interval that says something")
    params.variant(variant)
    with connect(repository_root()) as tracking, _alone(tracking, variant):
        if asked.sha256 is None:
            challenger = _aliased(tracking, variant, registry.CHALLENGER)
        else:
            challenger = registry.version_of(tracking.client, variant, asked.sha256)
        champion = _aliased(tracking, variant, registry.CHAMPION)
        if challenger is None:
            raise UserError(
                f"{registry.registered_name(variant)}: no challenger; `reprogan publish {variant}` makes one"
            )
        known = decisions.last_change(decisions.read(root), variant)
        if champion is not None and _sha256(champion) == _sha256(challenger):
            if known is not None and known.model.sha256 == _sha256(champion):
                return _settle(tracking, root, variant, challenger, champion, "held", "it is the champion already", {})
            reason = f"it is the champion in MLflow already, by a decision whose line {decisions.FILE} has lost"
            return _settle(tracking, root, variant, challenger, None, "promoted", reason, {})
        if champion is None and known is not None:
            remedy = registry.way_back(root, known.model, variant)
            raise UserError(f"{variant}: its champion, {known.model}, is not in MLflow; {remedy}")
        judged = _judge_both(tracking, params, root, variant, asked, challenger, champion)
        outcome, reason = _weigh(asked, judged)
        return _settle(tracking, root, variant, challenger, champion, outcome, reason, _figures(asked, judged))


def rollback(root: Path, variant: str, reason: str) -> Decision:
    """Give the alias `champion` back to who had it before, as promotions.jsonl says.

    Raises UserError if nobody had, or if that version is not in the registry.
    """
    with connect(repository_root()) as tracking, _alone(tracking, variant):
        history = decisions.read(root)
        before = decisions.previous_champion(history, variant)
        if before is None:
            raise UserError(f"{decisions.FILE}: no champion of {variant} before the present one; nothing to go back to")
        version = registry.version_of(tracking.client, variant, before.sha256)
        if version is None:
            raise UserError(
                f"{registry.registered_name(variant)}: no version of sha256 {before.sha256[:12]}; "
                f"{registry.way_back(root, before, variant)}"
            )
        champion = _aliased(tracking, variant, registry.CHAMPION)
        return _settle(tracking, root, variant, version, champion, "rolled back", reason, {})


@dataclass(frozen=True)
class _Both:
    """What the two were judged by: by training seed, of which the first is the model's own; no champion: no `old`."""

    score: Score
    seed: int
    count: int
    new: dict[int, Judged]
    old: dict[int, Judged]

    @property
    def over_sets(self) -> Estimate:
        """New − old, of the models themselves, over their sample sets."""
        new, old = (next(iter(side.values())).sets[self.score.key] for side in (self.new, self.old))
        return paired(dict(enumerate(old)), dict(enumerate(new)))

    @property
    def over_seeds(self) -> Estimate | None:
        """New − old over training seeds, where both were trained from several."""
        if min(len(self.new), len(self.old)) < 2:
            return None
        new, old = (
            {seed: judged.mean(self.score.key) for seed, judged in side.items()} for side in (self.new, self.old)
        )
        return paired(old, new)


def _judge_both(
    tracking: Tracking,
    params: Parameters,
    root: Path,
    variant: str,
    asked: Asked,
    challenger: "ModelVersion",
    champion: "ModelVersion | None",
) -> _Both:
    count = asked.count or params.variant(variant).sampling.count
    seed = fresh_seed([_sha256(version) for version in (challenger, champion) if version is not None])
    own = params.variant(variant).training.seed

    def judge_version(version: "ModelVersion | None", several: bool) -> dict[int, Judged]:
        if version is None:
            return {}
        with fetched(repository_root(), f"models:/{version.name}/{version.version}") as folder:
            found = {own: judge(variant, folder, params, root, seed, asked.sets, count)}
        if several:
            with seed_models(tracking, version) as others:
                for training_seed, folder in others.items():
                    found[training_seed] = judge(variant, folder, params, root, seed, asked.sets, count)
        return found

    new = judge_version(challenger, several=champion is not None)
    score = find_score(asked.metric, new[own])
    old = judge_version(champion, several=len(new) > 1)
    return _Both(score, seed, count, new, old)


def _weigh(asked: Asked, judged: _Both) -> tuple[Outcome, str]:
    """What is decided, and why in words."""
    new, key = next(iter(judged.new.values())), judged.score.key
    old = next(iter(judged.old.values()), None)
    if broken := broken_floors(new, old):
        return "refused", "; ".join(broken)
    if old is None:
        return "promoted", f"the first champion, {key} {new.mean(key):.4g}"
    effect = _effect(asked, old.mean(key))
    words = [f"{key} {old.mean(key):.4g} → {new.mean(key):.4g}"]
    better = True
    for difference, over in ((judged.over_sets, "sample sets"), (judged.over_seeds, "training seeds")):
        if difference is None:
            continue
        better = better and is_better(judged.score, difference, effect)
        size = len(judged.new) if over == "training seeds" else asked.sets
        interval = f"{difference.low:.4g} to {difference.high:.4g}"
        words.append(f"difference {difference.mean:.4g}, 95 % {interval}, over {size} {over}")
    if better:
        return "promoted", "; ".join(words)
    return "held", "; ".join([*words, f"expected better beyond chance and by {effect:.4g} at least"])


def _effect(asked: Asked, champion: float) -> float:
    return EFFECT * abs(champion) if asked.min_effect is None else asked.min_effect


def _figures(asked: Asked, judged: _Both) -> dict[str, Any]:
    """All that a decision hung on, for promotions.jsonl."""
    key = judged.score.key
    sides = {"challenger": judged.new, "champion": judged.old}
    found: dict[str, Any] = {
        "metric": key,
        "first_sampling_seed": judged.seed,
        "count": judged.count,
        "values": {
            side: {str(seed): one.sets[key] for seed, one in judged_ones.items()}
            for side, judged_ones in sides.items()
            if judged_ones
        },
    }
    first = next(iter(judged.new.values())).scores
    found |= {name: first[name] for name in ("extractor_sha256", "n_real", "n_fake") if name in first}
    if judged.old:
        found["min_effect"] = _effect(asked, next(iter(judged.old.values())).mean(key))
        for name, difference in (("over_sample_sets", judged.over_sets), ("over_training_seeds", judged.over_seeds)):
            if difference is not None:
                found[name] = [difference.mean, difference.low, difference.high]
    return found


def _settle(
    tracking: Tracking,
    root: Path,
    variant: str,
    version: "ModelVersion",
    champion: "ModelVersion | None",
    outcome: Outcome,
    reason: str,
    figures: dict[str, Any],
) -> Decision:
    """Write a decision down everywhere, and move the alias if it says so."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = None if champion is None else _model(champion)
    decision = Decision(variant, outcome, now, reason, _model(version), before, figures)
    decisions.add(root, decision)
    client = tracking.client
    if outcome in decisions.NEW_CHAMPION:
        registry.crown(client, version, decision)
    about = [
        one for one in decisions.read(root) if one.variant == variant and one.model.sha256 == decision.model.sha256
    ]
    tags = {f"promotion.{key}": value for key, value in (("outcome", outcome), ("reason", reason), ("time", now))}
    registry.ensure_version_says(client, version, with_decisions(version.description or "", about), tags)
    return decision


def _model(version: "ModelVersion") -> Model:
    commit = version.tags.get(COMMIT) if version.tags.get(DIRTY) == "false" else None
    return Model(int(version.version), _sha256(version), commit)


def _sha256(version: "ModelVersion") -> str:
    return str(version.tags[runs.SHA256])


def _aliased(tracking: Tracking, variant: str, alias: str) -> "ModelVersion | None":
    """The version that has an alias; None if none has, or if there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        return tracking.client.get_model_version_by_alias(registry.registered_name(variant), alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


@contextmanager
def _alone(tracking: Tracking, variant: str) -> Iterator[None]:
    """Be the only one, on any machine, that decides about a variant. Raises UserError if somebody else does.

    MLflow has no locks: a tag that is set, and read again after a moment, says whose turn it is.
    """
    from mlflow.exceptions import MlflowException

    client, name, mine = tracking.client, registry.registered_name(variant), uuid.uuid4().hex

    def holder() -> list[str] | None:
        try:
            held = client.get_registered_model(name).tags.get(_BUSY)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UserError(f"{name}: no such model in MLflow; `reprogan publish {variant}` makes it") from None
        return held.split("|") if held else None

    def refuse(held: list[str]) -> UserError:
        return UserError(
            f"{name}: {held[1]} has been deciding about it since {held[2]}; that decision counts; run this again after "
            f"it, or remove the model's tag {_BUSY} if that process is gone"
        )

    held = holder()
    if held is not None and time.time() - float(held[3]) < _ABANDONED_SECONDS:
        raise refuse(held)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    client.set_registered_model_tag(name, _BUSY, f"{mine}|{platform.node()}|{now}|{time.time():.0f}")
    time.sleep(_SETTLE_SECONDS)
    held = holder()
    if held is not None and held[0] != mine:
        raise refuse(held)
    try:
        yield
    finally:
        client.delete_registered_model_tag(name, _BUSY)
