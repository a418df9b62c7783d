"""What a run learned from and is judged on, as MLflow's pages of data sets show it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.data import hdf5
from reprogan.tracking.made import Made
from reprogan.tracking.store import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run


def add_data_sets(tracking: Tracking, run: "Run", made: Made, digest: str, root: Path) -> bool:
    """Log what the run learned from and is judged on as its inputs, where they are not there; True if one was not.

    `digest` is the md5 that DVC has of the prepared file, which is named as below the repository `root`.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    held = {(entry.dataset.name, entry.dataset.digest) for entry in (run.inputs.dataset_inputs if run.inputs else [])}
    source = json.dumps({"uri": made.data.relative_to(root).as_posix()})
    described = hdf5.describe(made.data) if made.data.is_file() else None
    new = []
    for split, context, word in (("train", "training", "training"), ("test", "eval", "held-out")):
        name = f"{made.description.data}: {word}"
        if (name, digest) in held:
            continue
        schema = profile = None
        if described is not None:
            sides = dict(zip(("channels", "height", "width"), described.image_shape, strict=True))
            profile = json.dumps({"images": described.counts[split], **sides})
            schema = json.dumps(_schema(described))
        dataset = Dataset(name, digest, "local", source, schema, profile)
        new.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    if new:
        tracking.client.log_inputs(run.info.run_id, new)
    return bool(new)


def _schema(described: hdf5.Description) -> dict[str, Any]:
    """What prepared data hold, in MLflow's form: type and shape of images, and of labels."""
    import numpy as np
    from mlflow.data.schema import TensorDatasetSchema
    from mlflow.types import Schema, TensorSpec

    kind = np.dtype("float32" if described.points else "uint8")
    images = Schema([TensorSpec(kind, (-1, *described.image_shape), "images")])
    parts = [images, Schema([TensorSpec(np.dtype("int64"), (-1,), "labels")])] if described.classes else [images]
    found: dict[str, Any] = TensorDatasetSchema(*parts).to_dict()
    return found
