"""Publishing: make MLflow show what DVC holds. Again and again adds nothing; what is missing is added."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from reprogan.config import Parameters
from reprogan.entry import repository_root
from reprogan.errors import UserError
from reprogan.tracking import lineage, registry
from reprogan.tracking import run as runs
from reprogan.tracking.curves import Point, read_history
from reprogan.tracking.store import Tracking, connect

if TYPE_CHECKING:
    from mlflow.entities import Run

    from reprogan.models.trained import Description

_LOCK_SECONDS = 600.0
_PIPELINE_FILES = ("params.yaml", "dvc.yaml", lineage.LOCK_FILE)


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
class _Made:
    """What the pipeline made of one variant, read from its files."""

    variant: str
    description: "Description"
    model: Path
    samples: Path
    metrics: Path
    data: Path
    sha256: str
    live: dict[str, Any] | None  # what training said at its end, with the fingerprint of its run


def publish(
    params: Parameters,
    root: Path,
    variants: Sequence[str] | None = None,
    watch: Callable[[list[str]], Iterable[str]] = iter,
) -> list[Published]:
    """Make MLflow show each of `variants` (None: all that are trained, sampled and scored) of the repository `root`.

    `watch` hands on their names as they are published, for whoever shows how far that is.
    Raises UserError for an unknown variant or one that is not made yet, TrackingFailed if MLflow fails.
    """
    names = list(variants) if variants is not None else [name for name in params.variants if not _missing(root, name)]
    for name in names:
        params.variant(name)
        if missing := _missing(root, name):
            raise UserError(f"{missing}: not there; run `dvc repro evaluate@{name}` before publishing {name}")
    if not names:
        return []
    scratch = repository_root() / ".reprogan"
    scratch.mkdir(exist_ok=True)
    # Under a lock: two that publish at once would both find a version missing and both add it.
    with connect(repository_root()) as tracking, FileLock(scratch / "publish.lock", timeout=_LOCK_SECONDS):
        commit = lineage.git_commit(root)
        locked = lineage.locked_stages(root)
        return [
            _publish_one(tracking, params, _made(params, root, name), root, commit, locked) for name in watch(names)
        ]


def _publish_one(
    tracking: Tracking,
    params: Parameters,
    made: _Made,
    root: Path,
    commit: dict[str, str],
    lock: dict[str, lineage.LockedStage],
) -> Published:
    client, description, name = tracking.client, made.description, made.variant
    scores = dict(runs.numbers_and_texts(_shown(json.loads(made.metrics.read_text(encoding="utf-8")))))
    score_points = [
        Point(key, value, description.images_seen) for key, value in scores.items() if not isinstance(value, str)
    ]
    flat = runs.flatten(
        {
            **params.variant(name).model_dump(mode="json"),
            "compute": params.compute.model_dump(mode="json"),
            "evaluation": params.evaluation.model_dump(mode="json"),
        }
    )
    metrics_sha256 = lineage.sha256(made.metrics)
    run, created = _run_of(tracking, made, flat, metrics_sha256)

    stage = f"train@{name}"
    locked = lock.get(stage, lineage.LockedStage({}, {}))
    out_md5 = lineage.md5(made.model)
    is_locked = locked.outs.get(f"models/{name}") == out_md5
    data_path = made.data.relative_to(root).as_posix()
    data_md5 = locked.deps.get(data_path) if is_locked else lineage.md5(made.data) if made.data.is_file() else None
    held = run.data.tags
    tags = {
        runs.VARIANT: name,
        runs.SHA256: made.sha256,
        runs.METRICS_SHA256: metrics_sha256,
        "data": description.data,
        "dvc.stage": stage,
        "mlflow.note.content": _note(description),
        **{key: value for key, value in scores.items() if isinstance(value, str) and key not in held},
        **{key: value for key, value in lineage.environment(params.compute).items() if key not in held},
        **lineage.commit_tags(commit, held, is_locked),
    }
    if data_md5:
        tags["data.md5"] = data_md5
    if is_locked:
        tags["dvc.out_md5"] = out_md5
    if (made.samples / "samples.h5").is_file():
        tags["samples.md5"] = lineage.md5(made.samples / "samples.h5")

    changes = [created, runs.add(client, run, flat, tags)]
    if data_md5:
        changes.append(_add_data(tracking, run, description.data, data_md5, data_path))
    changes.append(runs.add_points(client, run, read_history(made.model / "history.csv")))
    changes.append(runs.add_points(client, run, score_points))
    if made.live:
        runs.add_points(client, run, runs.speed_points(run, made.live))
    changes.append(runs.add_artifacts(client, run, _artifacts(made, root)))
    model, added = registry.ensure_logged_model(
        tracking, run, made.model, description, made.sha256, params.compute, root
    )
    changes += [added, registry.link_scores(tracking, run, model, score_points)]
    version, added = registry.ensure_version(tracking, run, model, name, made.sha256)
    changes.append(added)
    title = f"{name} {made.sha256[:8]}"
    if run.info.status != "FINISHED" or run.info.run_name != title:
        client.update_run(run.info.run_id, status="FINISHED", name=title)
    return Published(name, run.info.run_id, version.name, str(version.version), any(changes))


def _run_of(tracking: Tracking, made: _Made, params: dict[str, str], metrics_sha256: str) -> tuple["Run", bool]:
    """The run of these weights and metrics: published before, begun by the live follower, or (True) a new one."""
    run = runs.find(tracking, made.variant, runs.SHA256, made.sha256, params, metrics_sha256)
    if run is None and made.live:
        run = runs.find(tracking, made.variant, runs.FINGERPRINT, made.live["fingerprint"], params, metrics_sha256)
        if run is not None and run.data.tags.get(runs.SHA256, made.sha256) != made.sha256:
            run = None
    return (run, False) if run is not None else (runs.create(tracking, made.variant), True)


def _add_data(tracking: Tracking, run: "Run", name: str, digest: str, path: str) -> bool:
    """Log the data set as the run's input, if it is not there."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    held = {(entry.dataset.name, entry.dataset.digest) for entry in (run.inputs.dataset_inputs if run.inputs else [])}
    if (name, digest) in held:
        return False
    dataset = Dataset(name, digest, source_type="local", source=json.dumps({"uri": path}))
    tracking.client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    return True


def _artifacts(made: _Made, root: Path) -> dict[str, Path]:
    """The small files that a run shows, by their names there; samples.h5 stays in DVC, named by its md5."""
    files = {
        **{path.name: path for path in sorted(made.samples.glob("*.png"))},
        "history.csv": made.model / "history.csv",
        "scores.json": made.metrics,
        "copies.png": made.metrics.with_name("copies.png"),
        **{f"pipeline/{name}": root / name for name in _PIPELINE_FILES},
    }
    return {name: path for name, path in files.items() if path.is_file()}


def _note(description: "Description") -> str:
    return (
        f"**{description.variant}**: {description.system} with architecture `{description.architecture}`, trained on "
        f"{description.data} for {description.images_seen:,} images ({description.weights} weights).\n\n"
        f"To make it again: check out `git.commit`, then `dvc repro evaluate@{description.variant}`."
    )


def _shown(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores as MLflow can show them: of several sample sets or training seeds the mean and standard deviation."""
    shown = {key: value for key, value in scores.items() if key not in ("sets", "training")}
    for name, of in (("over sample sets", scores.get("sets", {})), ("over training seeds", scores.get("training", {}))):
        values = {key: numbers for key, numbers in of.items() if key != "seeds" and len(numbers) > 1}
        if values:
            shown[f"mean {name}"] = {key: statistics.mean(numbers) for key, numbers in values.items()}
            shown[f"deviation {name}"] = {key: statistics.stdev(numbers) for key, numbers in values.items()}
    return shown


def _missing(root: Path, name: str) -> str:
    """The first of a variant's outputs that is not there ("" if all are)."""
    wanted = (f"models/{name}/model.json", f"samples/{name}/grid.png", f"scores/{name}/scores.json")
    return next((path for path in wanted if not (root / path).is_file()), "")


def _made(params: Parameters, root: Path, name: str) -> _Made:
    from reprogan.models.trained import load, main_weights

    model = root / "models" / name
    sha256 = lineage.sha256(main_weights(model))
    return _Made(
        variant=name,
        description=load(model).description,  # a damaged model is refused, not registered
        model=model,
        samples=root / "samples" / name,
        metrics=root / "scores" / name / "scores.json",
        data=root / "data/processed" / f"{params.variant(name).data}.h5",
        sha256=sha256,
        live=_live(repository_root() / ".reprogan" / "live" / name, sha256),
    )


def _live(folder: Path, sha256: str) -> dict[str, Any] | None:
    """What the training of these weights left in its live folder; None if it was another or there is nothing."""
    try:
        done: dict[str, Any] = json.loads((folder / "done.json").read_text(encoding="utf-8"))
        done["fingerprint"] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError):
        return None
    return done if done.get("model_sha256") == sha256 else None
