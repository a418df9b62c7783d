"""A published model samples in a process that knows nothing of the repository, with the same bytes each time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reprogan.tracking.publish import publish

PROJECT = Path(__file__).parents[2]

DRAW = """
import hashlib, sys
from pathlib import Path
from reprogan.config import load
from reprogan.entry import pin_instruction_set
root = Path(sys.argv[1])
pin_instruction_set(load(root / "params.yaml").compute)
import torch
from reprogan.models import trained
from reprogan.sampling.generate import generate
images = torch.cat(list(generate(trained.load(root / "models/gan"), 150, seed=7))).numpy()
print(hashlib.sha256(images.tobytes()).hexdigest())
"""

LOAD_AND_DRAW = """
import hashlib, json, os, pathlib, sys
import mlflow, numpy
from mlflow.models.utils import _validate_serving_input

def digest(**params):
    images = gan.predict(None, params=params)
    assert images.dtype == numpy.uint8, images.dtype
    return [hashlib.sha256(images.tobytes()).hexdigest(), list(images.shape)]

def mistake(model, data, **params):
    try:
        model.predict(data, params=params)
    except mlflow.MlflowException as error:
        return [error.error_code, str(error)]

def served(model):
    folder = pathlib.Path(mlflow.artifacts.download_artifacts("models:/" + model.model_id))
    answer = _validate_serving_input(str(folder), (folder / "serving_input_example.json").read_text())
    return [list(answer.shape), str(answer.dtype), (folder / "requirements.txt").read_text().splitlines()]

mlflow.set_tracking_uri(sys.argv[1])
gan = mlflow.pyfunc.load_model("models:/reprogan-gan@challenger")
classifier = mlflow.pyfunc.load_model("models:/reprogan-cnn_classifier/1")
images = (numpy.arange(3 * 784) % 256).astype(numpy.uint8).reshape(3, 1, 28, 28)
probabilities = classifier.predict(images)
print(json.dumps({
    "twice": [digest(seed=7, count=150), digest(seed=7, count=150)],
    "other": digest(seed=8, count=150),
    "default": digest(),
    "count": mistake(gan, None, count=10001),
    "none": mistake(gan, None, count=0),
    "seed": mistake(gan, None, seed=-1),
    "shape": mistake(classifier, images[:, :, :20]),
    "probabilities": [str(probabilities.dtype), probabilities.tolist()],
    "served": [served(gan), served(classifier)],
    "threads": os.environ.get("OMP_NUM_THREADS"),
    "reprogan": __import__("reprogan").__file__,
}))
"""


def test_a_bare_process_draws_the_same_bytes_as_the_pipeline(repository: Any, tmp_path: Path) -> None:
    publish(repository.params, repository.root)
    bare = tmp_path / "bare"
    bare.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DVC_ROOT")}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(*arguments: str, **more: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", *arguments]
        done = subprocess.run(
            command, cwd=bare, env={**environment, **more}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    found = json.loads(run(LOAD_AND_DRAW, f"sqlite:///{repository.root}/mlflow.db"))
    drawn = run(DRAW, str(repository.root), PYTHONPATH=str(PROJECT / "src"))

    assert found["twice"] == [[drawn, [150, 1, 28, 28]]] * 2
    assert found["other"][0] != drawn and found["default"][1] == [1, 1, 28, 28]
    assert found["threads"] == str(repository.params.compute.threads)
    assert Path(found["reprogan"]).is_relative_to(repository.root / "mlruns")

    assert found["count"] == ["INVALID_PARAMETER_VALUE", "count is 10001; expected 1 to 10000 images"]
    assert found["none"] == ["INVALID_PARAMETER_VALUE", "count is 0; expected 1 to 10000 images"]
    assert found["seed"][0] == "INVALID_PARAMETER_VALUE" and "seed is -1; expected 0 to" in found["seed"][1]
    assert found["shape"][0] == "INVALID_PARAMETER_VALUE"

    dtype, probabilities = found["probabilities"]
    assert dtype == "float32" and len(probabilities) == 3
    assert all(sum(row) == pytest.approx(1, abs=1e-5) and len(row) == 10 for row in probabilities)

    for (shape, dtype, pins), expected in zip(
        found["served"], ([[4, 1, 28, 28], "uint8"], [[1, 10], "float32"]), strict=True
    ):
        assert [shape, dtype] == expected
        assert all("==" in pin for pin in pins) and {"torch", "mlflow"} < {pin.partition("==")[0] for pin in pins}
