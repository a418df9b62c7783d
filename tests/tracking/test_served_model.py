"""A published model samples in a process that knows nothing of the repository, with the same bytes each time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from reprogan.models import architecture, trained
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

# The served models, beside `generate` on the pipeline's files in the same process.
LOAD_AND_TELL = """
import json, pathlib, sys
import mlflow, numpy
from mlflow.models.utils import _validate_serving_input

def load(variant):
    return mlflow.pyfunc.load_model(f"models:/reprogan-{variant}@challenger")

def served(model):
    folder = pathlib.Path(mlflow.artifacts.download_artifacts("models:/" + model.model_id))
    answer = _validate_serving_input(str(folder), (folder / "serving_input_example.json").read_text())
    return [list(answer.shape), str(answer.dtype)]

def mistake(model, data, **params):
    try:
        model.predict(data, params=params)
    except mlflow.MlflowException as error:
        return [error.error_code, str(error)]

mlflow.set_tracking_uri(sys.argv[1])
stackgan, pix2pix, features = load("stackgan_1"), load("pix2pix_edges"), load("caption_features")
import torch
from reprogan.data.batches import to_float
from reprogan.models import trained
from reprogan.sampling.generate import generate

def drawn(variant, count, seed, told):
    model = trained.load(pathlib.Path(sys.argv[2]) / "models" / variant)
    return torch.cat(list(generate(model, count, seed, told=told))).numpy()

same = lambda a, b: a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
told = stackgan.predict(None, params={"text": "A tall man, a hat", "seed": 7, "count": 3})
sources = numpy.random.default_rng(1).integers(0, 256, (5, 1, 16, 16), dtype=numpy.uint8)
made = pix2pix.predict(sources, params={"seed": 7})
images = numpy.random.default_rng(2).integers(0, 256, (5, 3, 64, 64), dtype=numpy.uint8)
with torch.no_grad():
    encoder = trained.load(pathlib.Path(sys.argv[2]) / "models/caption_features").networks["image_encoder"]
    expected = encoder(to_float(torch.from_numpy(images))).numpy()
print(json.dumps({
    "told": [same(told, drawn("stackgan_1", 3, 7, torch.tensor([[1, 3, 1, 2]]))), list(told.shape)],
    "other words": same(told, stackgan.predict(None, params={"text": "a woman", "seed": 7, "count": 3})),
    "translated": [same(made, drawn("pix2pix_edges", 5, 7, to_float(torch.from_numpy(sources)))), list(made.shape)],
    "one by one": same(made[:1], pix2pix.predict(sources[:1], params={"seed": 7})),
    "other seed": same(made, pix2pix.predict(sources, params={"seed": 8})),
    "features": same(features.predict(images), expected),
    "no text": mistake(stackgan, None, count=1),
    "unknown text": mistake(stackgan, None, text="green"),
    "shape": mistake(pix2pix, sources[:, :, :8]),
    "none": mistake(pix2pix, sources[:0]),
    "served": [served(model) for model in (stackgan, pix2pix, features)],
}))
"""


def run_bare(folder: Path, *arguments: str, **more: str) -> str:
    """The last line that a Python process prints which starts in the new `folder` and knows no repository."""
    folder.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DVC_ROOT")}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", "-c", *arguments]
    done = subprocess.run(command, cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_bare_process_draws_the_same_bytes_as_the_pipeline(repository: Any, tmp_path: Path) -> None:
    publish(repository.params, repository.root)
    found = json.loads(run_bare(tmp_path / "bare", LOAD_AND_DRAW, f"sqlite:///{repository.root}/mlflow.db"))
    drawn = run_bare(tmp_path / "bare", DRAW, str(repository.root), PYTHONPATH=str(PROJECT / "src"))

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


UNET = {
    "width": 4,
    "levels": 3,
    "dropout": 0.5,
    "norm": "batch",
    "patch": None,
    "patch_width": 4,
    "patch_norm": "none",
    "init_std": None,
}
FEATURES = {"widths": [4, 4], "word_size": 6, "phrases": [1, 2], "features": 8}
STACKGAN = {"stage": 1, "latent_size": 4, "condition_size": 4, "filters": 2, "residual_blocks": 0}


def make_models_that_are_told(root: Path) -> None:
    """One that reads captions, the encoders that it builds on, and one that reads sources; of random weights."""
    faces, words = (3, 64, 64), ("a", "hat", "man", "woman")
    features = trained.Description(
        "caption_features", "contrastive", "caption_features", FEATURES, faces, (), "faces", "last", 0, vocabulary=words
    )
    stackgan = trained.Description(
        "stackgan_1", "stackgan", "stackgan", STACKGAN, faces, (), "faces", "last", 0, words, upstream=features
    )
    pix2pix = trained.Description(
        "pix2pix_edges", "pix2pix", "unet", UNET, (3, 16, 16), (), "faces", "last", 0, source_channels=1
    )
    torch.manual_seed(1)
    encoders = architecture.build("caption_features", FEATURES, faces, 0, words=len(words))
    networks = {
        "caption_features": encoders,
        "stackgan_1": architecture.build("stackgan", STACKGAN, faces, 0, words=len(words), upstream=encoders),
        "pix2pix_edges": architecture.build("unet", UNET, (3, 16, 16), 0, source_channels=1),
    }
    for description in (features, stackgan, pix2pix):
        name = description.variant
        trained.save(root / "models" / name, description, networks[name])
        shutil.copy(root / "models/gan/history.csv", root / "models" / name)
        shutil.copytree(root / "samples/gan", root / "samples" / name)
        shutil.copytree(root / "scores/gan", root / "scores" / name)


def test_models_that_are_told_captions_or_sources_are_served(repository: Any, tmp_path: Path) -> None:
    make_models_that_are_told(repository.root)
    publish(repository.params, repository.root, ["caption_features", "stackgan_1", "pix2pix_edges"])
    store = f"sqlite:///{repository.root}/mlflow.db"
    found = json.loads(run_bare(tmp_path / "bare", LOAD_AND_TELL, store, str(repository.root)))

    assert found["told"] == [True, [3, 3, 64, 64]] and not found["other words"]
    assert found["translated"] == [True, [5, 3, 16, 16]] and not found["other seed"]
    assert found["one by one"] and found["features"]
    for key, said in (("no text", "'' has no word that it knows"), ("unknown text", "'green' has no word")):
        assert found[key][0] == "INVALID_PARAMETER_VALUE" and said in found[key][1]
    assert found["shape"][0] == "INVALID_PARAMETER_VALUE"
    assert found["none"][0] == "INVALID_PARAMETER_VALUE" and "N from 1 to 10000" in found["none"][1]
    assert found["served"] == [[[4, 3, 64, 64], "uint8"], [[1, 3, 16, 16], "uint8"], [[1, 8], "float32"]]
