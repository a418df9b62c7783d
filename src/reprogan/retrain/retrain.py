"""Retraining from one end to the other: fetch, see what is stale, make it again, judge it, store it, report it.

Each step looks at what is there and does what is missing, so a retrain that was stopped anywhere is gone on with by
running it again, here or on another machine.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reprogan.config import ENCODERS, Parameters
from reprogan.entry import repository_root
from reprogan.errors import UserError
from reprogan.retrain import git
from reprogan.retrain.changes import read_changes
from reprogan.retrain.checkpoints import Keeper, SharedCheckpoints
from reprogan.retrain.report import FILE, Outcome, write_report
from reprogan.retrain.repro import repro
from reprogan.retrain.stale import Stale, find_stale, lines
from reprogan.retrain.storage import Storage
from reprogan.summary import KEYS
from reprogan.tracking import decisions, provenance
from reprogan.tracking.made import missing
from reprogan.versions import read_scores

_COMMITTED = ("dvc.lock", "params.yaml", "metrics", decisions.FILE)
_NO_REMOTE = "no DVC remote: nothing is fetched or stored; `dvc remote add -d NAME URL` adds one"


@dataclass(frozen=True)
class Asked:
    """What to do. `variants`: these alone; none: everything. `push`: the git remote that the commit goes to."""

    variants: tuple[str, ...] = ()
    dry_run: bool = False
    train_only: bool = False
    promote: bool = True
    commit: bool = False
    push: str | None = None


def retrain(params: Parameters, root: Path, asked: Asked) -> Outcome:
    """Bring models, scores, MLflow and the DVC remote up to date with the repository `root`, and say what changed.

    Raises UserError where a step cannot be done; what was done before it is kept.
    """
    for name in asked.variants:
        params.variant(name)
    found = provenance.git_commit(root)
    if not found:
        raise UserError(f"{root}: no git repository with a commit; expected one: what is retrained is a commit")
    if asked.commit:
        git.expect_identity(root)
    branch = git.branch(root) if asked.push else ""
    storage = Storage(root)
    if storage.name is None and asked.train_only:
        raise UserError(f"{_NO_REMOTE}; expected one, for what one machine trains to reach the others")
    stale = find_stale(params, root, asked.variants)
    if not asked.train_only and (stale.changed or stale.missing):  # also where outputs are those of another dvc.lock
        _fetch(storage)
        stale = find_stale(params, root, asked.variants)
    outcome = Outcome(found[provenance.COMMIT], _where(), stale, dry=asked.dry_run)
    _say("\n".join(lines(stale)))
    if asked.dry_run:
        write_report(outcome, root)
        return outcome
    if stale.to_run or (stale.missing and not asked.train_only):
        if storage.name is not None:
            storage.expect_writable()
        _run(params, root, asked, storage, stale, outcome)
    elif storage.name is not None and not asked.train_only:
        _store(storage)
    if asked.train_only:
        return outcome
    outcome.changes = read_changes(params, root, outcome.commit)
    _publish(params, root, asked, outcome)
    _report(outcome, root)
    if asked.commit:
        made = git.commit(root, _COMMITTED, outcome.title())
        if made is not None:
            _say(f"committed {made[:12]}: {outcome.title()}")
        is_theirs = asked.push is None or git.push(root, asked.push, branch)
        if made is not None and is_theirs:
            _bind(params, root, outcome)
    if outcome.notes:
        raise UserError("; ".join(outcome.notes))
    return outcome


def _fetch(storage: Storage) -> None:
    if storage.name is None:
        _say(_NO_REMOTE)
        storage.checkout()
        return
    _say(f"fetching from {storage}")
    storage.fetch()


def _run(params: Parameters, root: Path, asked: Asked, storage: Storage, stale: Stale, outcome: Outcome) -> None:
    """Make again what is stale, with checkpoints brought before, and stored as long as it lasts."""
    arguments = ["--pull"] if storage.name is not None else []
    if asked.train_only:
        arguments.append("--allow-missing")
    arguments += [f"evaluate@{name}" for name in asked.variants]
    if storage.name is None:
        repro(root, arguments, outcome.ran)
        return
    try:
        with _checkpoints_shared(params, storage, stale) as shared:
            repro(root, arguments, outcome.ran)
    except UserError:  # a stage failed, or this was stopped: what is done is stored all the same
        try:
            _store(storage)
        except UserError as error:
            _say(f"reprogan: {error}")  # beside why it ended, which comes last
        raise
    _store(storage)
    if shared is not None:  # only now, for until a model is stored they are all that another machine has of it
        shared.forget(outcome.trained)


@contextmanager
def _checkpoints_shared(params: Parameters, storage: Storage, stale: Stale) -> Iterator[SharedCheckpoints | None]:
    """Bring the checkpoints of what is to be trained; then, while this is entered, copy new ones now and then."""
    minutes = params.retrain.checkpoint_minutes
    if not minutes:
        yield None
        return
    shared = SharedCheckpoints(repository_root() / ".reprogan", storage)
    for brought in shared.bring(stale.trainings):
        _say(f"goes on from a checkpoint of {brought}")
    keeper = Keeper(shared, 60 * minutes)
    keeper.start()
    try:
        yield shared
    finally:
        keeper.finish()


def _publish(params: Parameters, root: Path, asked: Asked, outcome: Outcome) -> None:
    """Bring MLflow up to date and decide who is the champion; if MLflow fails that is noted, and the rest goes on."""
    from reprogan.tracking.publish import publish

    names = list(asked.variants) or None
    try:
        for published in publish(params, root, names):
            if published.changed:
                _say(str(published))
    except UserError as error:
        outcome.notes.append(f"not published: {error}")
        return
    for name in (asked.variants or params.variants) if asked.promote else ():
        if params.variant(name).system not in ENCODERS and not missing(root, name):
            _decide(params, root, name, outcome)


def _decide(params: Parameters, root: Path, variant: str, outcome: Outcome) -> None:
    """Decide about a variant's model, if the last decision was about another: also one that an earlier run missed."""
    from reprogan.models.trained import main_weights
    from reprogan.tracking.promotion import Asked as How
    from reprogan.tracking.promotion import promote

    digest = provenance.sha256(main_weights(root / "models" / variant))
    last = next((one for one in reversed(decisions.read(root)) if one.variant == variant), None)
    if last is not None and last.model.sha256 == digest:
        if any(change.variant == variant for change in outcome.changes):
            outcome.decisions[variant] = last
        return
    scores = read_scores(root, variant) or {}
    metric = params.retrain.metric or next((key for key in KEYS if key in scores), "frechet_distance")
    try:
        _bring_champion_back(root, variant)
        outcome.decisions[variant] = promote(
            params, root, variant, How(metric, count=params.retrain.count, sha256=digest)
        )
    except UserError as error:
        outcome.decisions[variant] = f"not decided: {error}"
        outcome.notes.append(f"{variant}: not decided: {error}")
    _say(f"{variant}: {outcome.decided(variant)}")


def _bring_champion_back(root: Path, variant: str) -> None:
    """Into a store that does not know who promotions.jsonl says is the champion, as a new one."""
    from reprogan.tracking import registry
    from reprogan.tracking.revision import publish_revision
    from reprogan.tracking.store import connect

    champion = decisions.last_change(decisions.read(root), variant)
    if champion is None:
        return
    with connect(repository_root()) as tracking:
        known = registry.version_of(tracking.client, variant, champion.model.sha256)
    commit = decisions.commit_of(root, champion.model)
    if known is None and commit is not None:
        _say(f"{variant}: bringing back its champion, {champion.model}, of commit {commit[:12]}")
        publish_revision(root, commit, [variant])


def _bind(params: Parameters, root: Path, outcome: Outcome) -> None:
    """Let MLflow know the commit that holds what was made."""
    from reprogan.tracking.publish import publish

    try:
        publish(params, root, [change.variant for change in outcome.changes])
    except UserError as error:
        outcome.notes.append(f"the commit is not known to MLflow: {error}")


def _store(storage: Storage) -> None:
    _say(f"storing in {storage}")
    storage.push()


def _report(outcome: Outcome, root: Path) -> None:
    write_report(outcome, root)
    _say(f"{FILE}: {outcome.title()}")


def _where() -> str:
    from reprogan.training.device import cpu_name

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"on {cpu_name()}, {cores} cores"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
