"""MLflow runs of ours: how one is found, what it may already hold, how what is missing is added."""

import json
import os
import platform
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
KIND = "reprogan.kind"  # one of the three below
PIPELINE, MODEL, SEED = "pipeline", "model", "seed"  # parent, child, child of that
PARENT = "mlflow.parentRunId"
MODEL_FOLDER = "model"  # below a seed's run: its files
_ENVIRONMENT = "environment."  # tags that begin so say what the weights were computed with
HOST, PROCESS, PROCESS_BEGAN = "reprogan.host", "reprogan.pid", "reprogan.pid_began"

_BATCH = 100  # the most params or tags that one call of MLflow takes
_SAME_SECONDS = 2.0  # by which the clock may have been set since
_LONGEST = 500  # characters of a param that a page can show; parameters.json has it whole


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as MLflow's flat ones: keys joined by dots, values as JSON (texts without their quotes).

    Long ones are cut and end in an ellipsis.
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[f"{prefix}{key}"] = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return flat


def find(
    tracking: Tracking,
    variant: str,
    tag: str,
    value: str,
    params: Mapping[str, str],
    metrics_sha256: str | None = None,
    deleted: bool = False,
) -> "Run | None":
    """The newest run of a model of `variant` whose `tag` is `value` and that may hold `params` and metrics; or None.

    Without `metrics_sha256`, while they are not known yet, any metrics will do: a training that is done again, to the
    same bytes, goes on in the run that shows it already.
    MLflow's params cannot be changed and its points not be taken back: a model that was sampled or scored again,
    with other settings, is a run of its own.
    """
    for run in search(tracking, {tag: value, VARIANT: variant}, deleted=deleted):
        same_params = all(params.get(key, held) == held for key, held in run.data.params.items())
        held = run.data.tags.get(METRICS_SHA256)
        fits = held is None or metrics_sha256 is None or held == metrics_sha256
        if same_params and fits and run.data.tags.get(KIND, MODEL) == MODEL:
            return run
    return None


def find_run(tracking: Tracking, run_id: str | None) -> "Run | None":
    """A run by its id; None where it is gone for good, as after `mlflow gc`."""
    from mlflow.exceptions import MlflowException

    try:
        return tracking.client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def restore(tracking: Tracking, run: "Run") -> "Run":
    """Bring back a run that was deleted in MLflow's pages, where it is kept until `mlflow gc`."""
    tracking.client.restore_run(run.info.run_id)
    return tracking.client.get_run(run.info.run_id)


def search(
    tracking: Tracking, tags: Mapping[str, str], status: str | None = None, deleted: bool = False
) -> "list[Run]":
    """The runs that hold all of these tags, and have this status if one is given, the newest first.

    Those that were deleted in MLflow's pages, or those that were not.
    """
    from mlflow.entities import ViewType

    conditions = [f"tags.`{tag}` = '{value}'" for tag, value in tags.items()]
    if status is not None:
        conditions.append(f"attributes.status = '{status}'")
    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    found: list[Run] = []
    page: str | None = ""
    while page is not None:
        part = tracking.client.search_runs(
            [tracking.experiment_id], " AND ".join(conditions), view, page_token=page or None
        )
        found += part
        page = part.token or None
    return found


def search_or_restore(tracking: Tracking, tags: Mapping[str, str]) -> "tuple[Run | None, bool]":
    """The newest run that holds all of these tags, and whether it had been deleted and was brought back."""
    if found := search(tracking, tags):
        return found[0], False
    if found := search(tracking, tags, deleted=True):
        return restore(tracking, found[0]), True
    return None, False


def create(
    tracking: Tracking, name: str, tags: Mapping[str, str], pid: int | None = None, began: float | None = None
) -> "Run":
    """Begin a run that holds these tags from the first moment on, as a process of this machine (None: this one).

    `began` says when it did, in seconds of Unix time (None: now).
    """
    start_time = None if began is None else round(1000 * began)
    return tracking.client.create_run(
        tracking.experiment_id, start_time=start_time, run_name=name, tags={**tags, **process_tags(pid or os.getpid())}
    )


def finish(client: "MlflowClient", run: "Run", name: str, seconds: float | None = None) -> None:
    """Mark a run as finished, after so many seconds if these are known, and give it its name."""
    if run.info.run_name != name:
        client.update_run(run.info.run_id, name=name)
    if run.info.status != "FINISHED" or run.info.end_time is None:
        end = None if seconds is None else run.info.start_time + round(1000 * seconds)
        client.set_terminated(run.info.run_id, "FINISHED", run.info.end_time or end)


def source_tags(variant: str) -> dict[str, str]:
    """The tags of a run of `variant` that its pages show as where it comes from."""
    return {VARIANT: variant, "mlflow.source.name": f"dvc repro train@{variant}", "mlflow.source.type": "LOCAL"}


def environment_tags(known: Mapping[str, str]) -> dict[str, str]:
    """The tags that say what the weights were computed with."""
    return {f"{_ENVIRONMENT}{key}": value for key, value in known.items()}


def environment_of(run: "Run") -> dict[str, str]:
    """What the weights of a run were computed with; {} where it does not say."""
    tags = sorted(run.data.tags.items())
    return {key.removeprefix(_ENVIRONMENT): value for key, value in tags if key.startswith(_ENVIRONMENT)}


def process_tags(pid: int) -> dict[str, str]:
    """Which process a run is of, so that another can tell whether it still goes on."""
    return {HOST: platform.node(), PROCESS: str(pid), PROCESS_BEGAN: f"{_began(pid):.2f}"}


def end_killed(client: "MlflowClient", run: "Run") -> None:
    """Close a run whose process is gone; one that shows a finished training, which was done again, stays finished."""
    if SHA256 in run.data.tags:
        client.set_terminated(run.info.run_id, "FINISHED", run.info.end_time)
    else:
        client.set_terminated(run.info.run_id, "KILLED")


def end_abandoned(tracking: Tracking) -> list[str]:
    """Close runs whose process on this machine is gone; their ids."""
    ended = []
    for run in search(tracking, {HOST: platform.node()}, "RUNNING"):
        if not _is_alive(int(run.data.tags.get(PROCESS, 0)), float(run.data.tags.get(PROCESS_BEGAN, 0))):
            end_killed(tracking.client, run)
            ended.append(str(run.info.run_id))
    return ended


def _is_alive(pid: int, began: float) -> bool:
    """Whether a process still goes on; its number alone may be another's by now."""
    return abs(_began(pid) - began) < _SAME_SECONDS


def _began(pid: int) -> float:
    """When a process began, in seconds of Unix time; 0 if there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


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
    # A single value that is there as the last of its curve need not be asked for: the run came with those.
    metrics = run.data.metrics
    last = {point for point in points if count[point.key] == 1 and metrics.get(point.key) == point.value}
    asked_for = {point.key for point in points if point.key in metrics and point not in last}
    held = logged_points(client, run.info.run_id, asked_for) | last
    new = [point for point in points if point not in held]
    log_points(client, run.info.run_id, new)
    return bool(new)


def speed_points(run: "Run", done: Mapping[str, Any]) -> list[Point]:
    """How long training took, how fast it was, and its memory.

    [] where `run` has it from an earlier training of the same model.
    """
    if "images_per_second" in run.data.metrics:
        return []
    names = {"seconds": "training_seconds", "cpu_seconds": "training_cpu_seconds"} | {
        key: key for key in ("images_per_second", "peak_memory_mib", "peak_gpu_memory_mib")
    }
    step = int(done["images_seen"])
    return [Point(name, float(done[key]), step) for key, name in names.items() if key in done]


def numbers_and_texts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """The leaves of a metrics file: keys joined by `/`, numbers as floats, everything else as text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers_and_texts(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def add_artifacts(
    client: "MlflowClient", run: "Run", files: Mapping[str, Path], texts: Mapping[str, str] | None = None
) -> bool:
    """Upload those of `files` ({name below the run: file}) and `texts` that `run` lacks; True if there were any.

    All in one call. A name that is there counts, unless its size shows that an upload was cut short: the files of a run
    never change.
    """
    import shutil
    import tempfile

    texts = texts or {}
    names = {name: file.stat().st_size for name, file in files.items()}
    names |= {name: len(text.encode()) for name, text in texts.items()}
    held: dict[str, int | None] = {}
    for folder in sorted({str(Path(name).parent) for name in names}):
        for info in client.list_artifacts(run.info.run_id, None if folder == "." else folder):
            held[info.path] = info.file_size
    new = [name for name, size in names.items() if name not in held or (held[name] or 0) < min(1, size)]
    if new:
        with tempfile.TemporaryDirectory() as folder:
            for name in new:
                copy = Path(folder) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                if name in files:
                    shutil.copyfile(files[name], copy)
                else:
                    copy.write_text(texts[name], encoding="utf-8")
            client.log_artifacts(run.info.run_id, folder)
    return bool(new)
