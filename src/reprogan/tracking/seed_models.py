"""The models of further training seeds that stand in MLflow below a version's run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reprogan.tracking import run as runs
from reprogan.tracking.store import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@contextmanager
def seed_models(tracking: Tracking, version: "ModelVersion") -> Iterator[dict[int, Path]]:
    """{training seed: folder} of the models that were trained beside a version, until the block ends."""
    below = runs.search(tracking, {runs.PARENT: str(version.run_id), runs.KIND: runs.SEED})
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for run in reversed(below):
            seed = int(run.data.params["training.seeds"].strip("[]"))
            place = Path(folder) / str(seed)
            place.mkdir()
            found[seed] = Path(tracking.client.download_artifacts(run.info.run_id, runs.MODEL_FOLDER, str(place)))
        yield dict(sorted(found.items()))
