"""A published model samples in a process that knows nothing of the repository, with the same bytes each time."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from reprogan.models import trained
from reprogan.sampling.generate import generate
from reprogan.tracking.publish import publish

LOAD_AND_DRAW = """
import hashlib, json, sys
import mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
gan = mlflow.pyfunc.load_model("models:/reprogan-gan@challenger")
def digest(**params):
    images = gan.predict(None, params=params)
    assert images.dtype == numpy.uint8, images.dtype
    return [hashlib.sha256(images.tobytes()).hexdigest(), list(images.shape)]
def message(model, data, **params):
    try:
        model.predict(data, params=params)
    except mlflow.MlflowException as error:
        return [error.error_code, str(error)]
found = {
    "twice": [digest(seed=7, count=150), digest(seed=7, count=150)],
    "other": digest(seed=8, count=150),
    "example": list(gan.predict(*gan.input_example if isinstance(gan.input_example, tuple) else ([0],)).shape),
    "count": message(gan, None, count=10001),
    "seed": message(gan, None, seed=-1),
    "threads": __import__("os").environ.get("OMP_NUM_THREADS"),
    "reprogan": __import__("reprogan").__file__,
}
classifier = mlflow.pyfunc.load_model("models:/reprogan-cnn_classifier/1")
images = (numpy.arange(3 * 784) % 256).astype(numpy.uint8).reshape(3, 1, 28, 28)
probabilities = classifier.predict(images)
found["probabilities"] = [str(probabilities.dtype), probabilities.tolist()]
found["shape"] = message(classifier, images[:, :, :20])
print(json.dumps(found))
"""


def test_a_bare_process_draws_the_same_bytes_as_the_pipeline(repository: Any, tmp_path: Path) -> None:
    publish(repository.params, repository.root)
    bare = tmp_path / "bare"
    bare.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DVC_ROOT")}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    uri = f"sqlite:///{repository.root}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", LOAD_AND_DRAW, uri],
        cwd=bare,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    model = trained.load(repository.root / "models/gan")
    expected = torch.cat(list(generate(model, 150, seed=7))).numpy()
    assert found["twice"][0] == [hashlib.sha256(expected.tobytes()).hexdigest(), [150, 1, 28, 28]]
    assert found["twice"][0] == found["twice"][1] and found["other"][0] != found["twice"][0][0]
    assert found["count"] == ["INVALID_PARAMETER_VALUE", "count is 10001; expected 1 to 10000 images"]
    assert found["seed"][0] == "INVALID_PARAMETER_VALUE" and "seed is -1; expected 0 to" in found["seed"][1]
    assert found["threads"] == str(repository.params.compute.threads)
    assert Path(found["reprogan"]).is_relative_to(repository.root / "mlruns")
    dtype, probabilities = found["probabilities"]
    assert dtype == "float32" and len(probabilities) == 3
    assert all(sum(row) == pytest.approx(1, abs=1e-5) and len(row) == 10 for row in probabilities)
    assert found["shape"][0] == "INVALID_PARAMETER_VALUE"


def test_the_example_can_be_served(repository: Any) -> None:
    publish(repository.params, repository.root)
    from mlflow.models.utils import _validate_serving_input

    for variant, shape in (("gan", (4, 1, 28, 28)), ("cnn_classifier", (1, 10))):
        (folder,) = (path.parents[2] for path in (repository.root / "mlruns").rglob(f"artifacts/{variant}/model.json"))
        answer = _validate_serving_input(str(folder), (folder / "serving_input_example.json").read_text())
        assert answer.shape == shape
        requirements = (folder / "requirements.txt").read_text().splitlines()
        assert all("==" in line for line in requirements) and any(line.startswith("torch==") for line in requirements)
