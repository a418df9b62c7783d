"""MLflow runs of ours: how one is found, what it may already hold, how what is missing is added."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.tracking.curves import Point, log_points, logged_points
from reprogan.tracking.store import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Tags that say what a run is of.
VARIANT = "reprogan.variant"
FINGERPRINT = (
    "reprogan.fingerprint"  # of parameters, data and code: the same while a training is interrupted and resumed
)
SHA256 = "model.sha256"  # of the main weights file
METRICS_SHA256 = "metrics.sha256"  # of scores/<variant>/scores.json

_BATCH = 100  # the most params or tags that one call of MLflow takes


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as MLflow's flat ones: keys joined by dots, values as JSON (texts without their quotes)."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def find(
    tracking: Tracking, variant: str, tag: str, value: str, params: Mapping[str, str], metrics_sha256: str | None = None
) -> "Run | None":
    """The newest run of `variant` whose `tag` is `value` and which may hold `params` and these metrics; None if none.

    Without `metrics_sha256`, while they are not known yet, any metrics will do: a training that is done again, to the
    same bytes, goes on in the run that shows it already.
    MLflow's params cannot be changed and its points not be taken back: a model that was sampled or scored again,
    with other settings, is a run of its own.
    """
    from mlflow.entities import ViewType

    found = tracking.client.search_runs(
        [tracking.experiment_id],
        f"tags.`{tag}` = '{value}' AND tags.`{VARIANT}` = '{variant}'",
        run_view_type=ViewType.ACTIVE_ONLY,
    )
    for run in found:
        same_params = all(params.get(key, held) == held for key, held in run.data.params.items())
        held = run.data.tags.get(METRICS_SHA256)
        if same_params and (held is None or metrics_sha256 is None or held == metrics_sha256):
            return run
    return None


def create(tracking: Tracking, variant: str, began: float | None = None) -> "Run":
    """Begin a run of `variant`; `began` says when it did, in seconds of Unix time (None: now)."""
    tags = {VARIANT: variant, "mlflow.source.name": f"dvc repro train@{variant}", "mlflow.source.type": "LOCAL"}
    start_time = None if began is None else round(1000 * began)
    return tracking.client.create_run(tracking.experiment_id, start_time=start_time, run_name=variant, tags=tags)


def add(client: "MlflowClient", run: "Run", params: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Log the params and tags that `run` does not hold yet; True if there were any."""
    from mlflow.entities import Param, RunTag

    new_params = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    new_tags = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    for start in range(0, len(new_params), _BATCH):
        client.log_batch(run.info.run_id, params=new_params[start : start + _BATCH])
    for start in range(0, len(new_tags), _BATCH):
        client.log_batch(run.info.run_id, tags=new_tags[start : start + _BATCH])
    return bool(new_params or new_tags)


def add_points(client: "MlflowClient", run: "Run", points: list[Point]) -> bool:
    """Log the points that `run` does not hold yet; True if there were any."""
    count: dict[str, int] = {}
    for point in points:
        count[point.key] = count.get(point.key, 0) + 1
    # A single value need not be asked for: the run came with the last value of every curve.
    held = logged_points(client, run.info.run_id, [key for key in count if count[key] > 1 and key in run.data.metrics])
    new = [
        point
        for point in points
        if point not in held and not (count[point.key] == 1 and run.data.metrics.get(point.key) == point.value)
    ]
    log_points(client, run.info.run_id, new)
    return bool(new)


def speed_points(run: "Run", done: Mapping[str, Any]) -> list[Point]:
    """How long training took and how fast it was; [] where `run` has it from an earlier training of the same model."""
    if "images_per_second" in run.data.metrics:
        return []
    step = int(done["images_seen"])
    return [
        Point("images_per_second", float(done["images_per_second"]), step),
        Point("training_seconds", float(done["seconds"]), step),
    ]


def numbers_and_texts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """The leaves of a metrics file: keys joined by `/`, numbers as floats, everything else as text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers_and_texts(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def add_artifacts(client: "MlflowClient", run: "Run", files: Mapping[str, Path]) -> bool:
    """Upload those of `files` ({name below the run: file}) that `run` lacks, in one call; True if there were any.

    A name that is there counts, unless its size shows that an upload was cut short: the files of a run never change.
    """
    import shutil
    import tempfile

    held: dict[str, int | None] = {}
    for folder in sorted({str(Path(name).parent) for name in files}):
        for info in client.list_artifacts(run.info.run_id, None if folder == "." else folder):
            held[info.path] = info.file_size
    new = {
        name: file
        for name, file in files.items()
        if name not in held or (held[name] or 0) < min(1, file.stat().st_size)
    }
    if new:
        with tempfile.TemporaryDirectory() as folder:
            for name, file in new.items():
                copy = Path(folder) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            client.log_artifacts(run.info.run_id, folder)
    return bool(new)
