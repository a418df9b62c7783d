"""Points of curves between history.csv and MLflow: read whole lines, log in batches, each point once."""

import csv
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 1000  # the most that one call of MLflow takes


@dataclass(frozen=True)
class Point:
    """One value of a curve; `step` counts images seen."""

    key: str
    value: float
    step: int


def read_history(path: Path) -> list[Point]:
    """The points of a history.csv, row by row; [] if it is not there; without a line still being written."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    header, *rows = csv.reader(text[: text.rfind("\n") + 1].splitlines()) if "\n" in text else [[]]
    return [
        Point(key, float(value), int(row[0])) for row in rows for key, value in zip(header[1:], row[1:], strict=True)
    ]


def log_points(client: "MlflowClient", run_id: str, points: Iterable[Point], model_id: str | None = None) -> None:
    """Log `points` in batches, to a logged model too if `model_id` is given.

    The timestamp is the step (as milliseconds): MLflow stores equal (key, value, timestamp, step) once, so a
    point that was logged before adds nothing, whoever logged it and when.
    """
    from mlflow.entities import Metric

    metrics = [
        Metric(point.key, point.value, timestamp=point.step, step=point.step, model_id=model_id, run_id=run_id)
        for point in points
    ]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def log_now(client: "MlflowClient", run_id: str, values: Mapping[str, float], step: int) -> None:
    """Log what was measured just now, when training stood at `step`: with the time, and nothing can log it again."""
    from mlflow.entities import Metric

    now = round(1000 * time.time())
    client.log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])


def logged_points(client: "MlflowClient", run_id: str, keys: Iterable[str]) -> set[Point]:
    """Every point of the curves `keys` that a run holds."""
    return {
        Point(metric.key, metric.value, metric.step)
        for key in keys
        for metric in client.get_metric_history(run_id, key)
    }
