"""Publishing: make MLflow show what DVC holds. Again and again adds nothing; what is missing is added."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from reprogan.config import Parameters
from reprogan.entry import repository_root
from reprogan.errors import UserError
from reprogan.tracking import provenance, registry
from reprogan.tracking import run as runs
from reprogan.tracking.card import grid_in_markdown, model_card
from reprogan.tracking.curves import Point, read_history
from reprogan.tracking.data_sets import add_data_sets
from reprogan.tracking.decisions import Decision
from reprogan.tracking.decisions import read as read_decisions
from reprogan.tracking.made import Made, missing, read_made
from reprogan.tracking.pipeline_run import ensure_pipeline_run, note_children
from reprogan.tracking.scores import for_mlflow, of_training_seed
from reprogan.tracking.store import Tracking, connect
from reprogan.training.digests import FILE as DIGESTS

if TYPE_CHECKING:
    from mlflow.entities import Run

_LOCK_SECONDS = 600.0
_EXPERIMENT_VARIABLE = "DVC_EXP_NAME"


@dataclass(frozen=True)
class Published:
    """One variant in MLflow; `changed` tells whether anything had to be added."""

    variant: str
    run_id: str
    model: str
    version: str
    changed: bool

    def __str__(self) -> str:
        state = "published" if self.changed else "already there"
        return f"{self.variant}: {self.model} version {self.version} ({state})"


@dataclass(frozen=True)
class _Pipeline:
    """What all variants that are published together have in common."""

    tracking: Tracking
    params: Parameters
    root: Path
    commit: dict[str, str]
    lock: dict[str, provenance.LockedStage]
    parent: "Run"
    decisions: list[Decision]
    history: Path
    newest: bool
    md5: Callable[[Path], str]


def publish(
    params: Parameters,
    root: Path,
    variants: Sequence[str] | None = None,
    watch: Callable[[list[str]], Iterable[str]] = iter,
    newest: bool = True,
    history: Path | None = None,
) -> list[Published]:
    """Make MLflow show each of `variants` (None: all that are trained, sampled and scored) of the repository `root`.

    Each is a run below that of the pipeline as it stands now, and has below it a run for each further training seed.
    `watch` hands on their names as they are published, for whoever shows how far that is. `newest`: whether a version
    that is new becomes the challenger. Decisions are those in `history` (None: `root`).
    Raises UserError for an unknown variant or one that is not made yet, TrackingFailed if MLflow fails.
    """
    made_ones = [name for name in params.variants if not missing(root, name)]
    names = list(variants) if variants is not None else made_ones
    for name in names:
        params.variant(name)
        if path := missing(root, name):
            raise UserError(f"{path}: not there; run `dvc repro evaluate@{name}` before publishing {name}")
    if not names:
        return []
    scratch = repository_root() / ".reprogan"
    scratch.mkdir(exist_ok=True)
    # Under a lock: two that publish at once would both find a version missing and both add it.
    with (
        connect(repository_root()) as tracking,
        FileLock(scratch / "publish.lock", timeout=_LOCK_SECONDS),
        provenance.known_md5(repository_root()) as md5,
    ):
        runs.end_abandoned(tracking)
        everything = {name: read_made(params, root, name, scratch) for name in made_ones}
        commit = provenance.git_commit(root)
        parent = ensure_pipeline_run(tracking, params, root, everything, commit)
        decisions, lock = read_decisions(history or root), provenance.locked_stages(root)
        pipeline = _Pipeline(tracking, params, root, commit, lock, parent, decisions, history or root, newest, md5)
        published = [_publish_one(pipeline, everything[name]) for name in watch(names)]
        note_children(tracking, parent, {one.variant: (one.run_id, one.version) for one in published})
    return published


def _publish_one(pipeline: _Pipeline, made: Made) -> Published:
    tracking, params, root, name = pipeline.tracking, pipeline.params, pipeline.root, made.variant
    client, description = tracking.client, made.description
    scores = dict(runs.numbers_and_texts(for_mlflow(json.loads(made.scores.read_text(encoding="utf-8")))))
    score_points = _points(scores, description.images_seen)
    whole = _parameters(params, name)
    flat = runs.flatten(whole)
    run, created = _run_of(tracking, made, flat)
    held = run.data.tags

    origin = _origin(pipeline, made, held)
    computed_with = runs.environment_tags((made.live or {}).get("environment", {}))
    tags = {
        **runs.source_tags(name),
        runs.KIND: runs.MODEL,
        runs.SHA256: made.sha256,
        runs.METRICS_SHA256: made.scores_sha256,
        "data": description.data,
        "mlflow.note.content": _note(made, run.info.run_id),
        **{key: value for key, value in scores.items() if isinstance(value, str) and key not in held},
        **{key: value for key, value in computed_with.items() if key not in held},
        **origin,
    }
    if runs.PARENT not in held:  # a model that did not change stays where it was first published
        tags[runs.PARENT] = pipeline.parent.info.run_id
    changes = [created, runs.add(client, run, flat, tags)]
    if data_md5 := origin.get("data.md5"):
        changes.append(add_data_sets(tracking, run, made, data_md5, root))
    changes.append(runs.add_points(client, run, read_history(made.model / "history.csv")))
    changes.append(runs.add_points(client, run, score_points))
    if made.live:
        runs.add_points(client, run, runs.speed_points(run, made.live))
    changes.append(runs.add_artifacts(client, run, _files(made, root), _texts(made, whole)))
    changes += [_publish_seed(pipeline, made, run, seed, folder) for seed, folder in made.seeds.items()]

    model, added = registry.ensure_logged_model(
        tracking, run, made.model, description, made.sha256, params.compute, root
    )
    changes += [added, registry.link_scores(tracking, run, model, score_points)]
    version, added = registry.ensure_version(tracking, run, model, name, made.sha256, pipeline.newest)
    about = [one for one in pipeline.decisions if one.variant == name and one.model.sha256 == made.sha256]
    now = held | tags
    changes += [
        added,
        registry.ensure_version_says(
            client,
            version,
            model_card(made, params, run.info.run_id, now, about),
            {key: now[key] for key in (*origin, "profile", "dvc.exp_name") if key in now},
        ),
        registry.ensure_champion(tracking, name, pipeline.decisions, pipeline.history),
    ]
    title = f"{name} {made.sha256[:8]}"
    runs.finish(client, run, title, made.live["seconds"] if made.live else None)
    return Published(name, run.info.run_id, version.name, str(version.version), any(changes))


def _publish_seed(pipeline: _Pipeline, made: Made, above: "Run", seed: int, folder: Path) -> bool:
    """The run of one further training seed, with its curves, scores and weights; True if anything was added."""
    from reprogan.models.trained import describe, main_weights

    client, variant = pipeline.tracking.client, pipeline.params.variant(made.variant).from_seed(seed)
    digest, description = provenance.sha256(main_weights(folder)), describe(folder)
    whole = {key: value for key, value in _parameters(pipeline.params, made.variant).items() if key != "evaluation"}
    flat = runs.flatten(whole | variant.model_dump(mode="json"))
    tags = {
        **runs.source_tags(made.variant),
        runs.KIND: runs.SEED,
        runs.SHA256: digest,
        runs.METRICS_SHA256: made.scores_sha256,
        runs.PARENT: above.info.run_id,
        "data": description.data,
    }
    below = {runs.SHA256: digest, runs.PARENT: above.info.run_id, runs.KIND: runs.SEED}
    run, added = runs.search_or_restore(pipeline.tracking, below)
    if run is None:
        run, added = runs.create(pipeline.tracking, f"{made.variant} seed {seed}", tags), True
    scores = of_training_seed(json.loads(made.scores.read_text(encoding="utf-8")), seed)
    changes = [
        added,
        runs.add(client, run, flat, tags),
        runs.add_points(client, run, read_history(folder / "history.csv")),
        runs.add_points(client, run, _points(scores, description.images_seen)),
        runs.add_artifacts(
            client,
            run,
            {f"{runs.MODEL_FOLDER}/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()},
        ),
    ]
    runs.finish(client, run, f"{made.variant} seed {seed}")
    return any(changes)


def _parameters(params: Parameters, name: str) -> dict[str, Any]:
    return {
        **params.variant(name).model_dump(mode="json"),
        "compute": params.compute.model_dump(mode="json"),
        "launch": params.launch.model_dump(mode="json"),
        "evaluation": params.evaluation.model_dump(mode="json"),
    }


def _origin(pipeline: _Pipeline, made: Made, held: dict[str, str]) -> dict[str, str]:
    """Tags for where the model comes from: stage, bytes, data, commit, profile."""
    stage = f"train@{made.variant}"
    locked = pipeline.lock.get(stage, provenance.LockedStage({}, {}))
    out_md5 = provenance.md5(made.model)
    is_locked = locked.outs.get(f"models/{made.variant}") == out_md5
    data_path = made.data.relative_to(pipeline.root).as_posix()
    found = {
        "dvc.stage": stage,
        "data.md5": locked.deps.get(data_path) if is_locked else _md5(pipeline, made.data),
        "dvc.out_md5": out_md5 if is_locked else None,
        "samples.md5": _md5(pipeline, made.samples / "samples.h5"),
        "profile": held.get("profile", pipeline.params.profile),
        "dvc.exp_name": held.get("dvc.exp_name", os.environ.get(_EXPERIMENT_VARIABLE)),
    }
    return {key: value for key, value in found.items() if value} | provenance.commit_tags(
        pipeline.commit, held, is_locked
    )


def _md5(pipeline: _Pipeline, path: Path) -> str | None:
    return pipeline.md5(path) if path.is_file() else None


def _run_of(tracking: Tracking, made: Made, params: dict[str, str]) -> tuple["Run", bool]:
    """The run of these weights and scores: published before, begun by the live follower, brought back (True) or new."""
    for deleted in (False, True):
        run = runs.find(tracking, made.variant, runs.SHA256, made.sha256, params, made.scores_sha256, deleted)
        if run is None and made.live:
            fingerprint = made.live["fingerprint"]
            run = runs.find(tracking, made.variant, runs.FINGERPRINT, fingerprint, params, made.scores_sha256, deleted)
            if run is not None and run.data.tags.get(runs.SHA256, made.sha256) != made.sha256:
                run = None
        if run is not None:
            return (runs.restore(tracking, run), True) if deleted else (run, False)
    tags = {**runs.source_tags(made.variant), runs.KIND: runs.MODEL, runs.SHA256: made.sha256}
    tags |= {runs.METRICS_SHA256: made.scores_sha256}
    return runs.create(tracking, made.variant, tags, began=made.live["began"] if made.live else None), True


def _files(made: Made, root: Path) -> dict[str, Path]:
    """The small files that a run shows, by their names there; samples.h5 stays in DVC, named by its md5."""
    files = {
        **{path.name: path for kind in ("*.png", "*.gif") for path in sorted(made.samples.glob(kind))},
        "history.csv": made.model / "history.csv",
        DIGESTS: made.model / DIGESTS,
        "scores.json": made.scores,
        "copies.png": made.scores.with_name("copies.png"),
        **{f"pipeline/{name}": root / name for name in provenance.PIPELINE_FILES},
    }
    return {name: path for name, path in files.items() if path.is_file()}


def _texts(made: Made, parameters: dict[str, Any]) -> dict[str, str]:
    """More of these, of what stands in no file."""
    texts = {"parameters.json": json.dumps(parameters, indent=2, sort_keys=True) + "\n"}
    if made.live and "packages" in made.live:
        known = {key: made.live[key] for key in ("environment", "packages")}
        texts["environment.json"] = json.dumps(known, indent=2, sort_keys=True) + "\n"
    return texts


def _points(scores: dict[str, Any], step: int) -> list[Point]:
    return [Point(key, value, step) for key, value in scores.items() if not isinstance(value, str)]


def _note(made: Made, run_id: str) -> str:
    description = made.description
    return (
        f"**{description.variant}**: {description.system} with architecture `{description.architecture}`, trained on "
        f"{description.data} for {description.images_seen:,} images ({description.weights} weights).\n\n"
        f"{grid_in_markdown(run_id)}\n\n"
        f"To make it again: check out `git.commit`, then `dvc repro evaluate@{description.variant}`."
    )
