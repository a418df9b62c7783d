"""A repository's outputs as the report finds them: two GANs and a classifier, written by hand."""

import csv
import json
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from reprogan.config import Parameters, Report, Variant, load
from reprogan.export.export import export
from reprogan.models import architecture, trained
from reprogan.report.libraries import lacking
from reprogan.report.page import write_report

ROOT = Path(__file__).parents[2]
DRAWING = ("dcgan_conditional", "sagan")
CLASSES = [str(digit) for digit in range(10)]


def write_json(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def write_model(
    root: Path, name: str, system: str, networks: dict[str, dict[str, list[int]]], columns: list[str]
) -> None:
    """model.json, a safetensors file of zeros a network, and 120 rows of history."""
    folder = root / "models" / name
    write_json(
        folder / "model.json",
        {
            "variant": name, "system": system, "architecture": name, "network": {}, "image_shape": [1, 28, 28],
            "classes": CLASSES, "data": "mnist", "weights": "average", "images_seen": 1_800_000,
        },
    )  # fmt: skip
    for network, shapes in networks.items():
        header, end = {}, 0
        for key, shape in shapes.items():
            start, end = end, end + 4 * math.prod(shape)
            header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        (folder / f"{network}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    with open(folder / "history.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["images_seen", *columns])
        for row in range(1, 121):
            waves = [0.5 + 0.4 * math.sin(row / 7 + 2 * index) * math.exp(-row / 60) for index in range(len(columns))]
            writer.writerow([15_000 * row, *waves])


def write_pictures(root: Path, name: str, progress: bool) -> None:
    folder = root / "samples" / name
    folder.mkdir(parents=True)
    grid = Image.radial_gradient("L").resize((582, 582)).convert("RGB")
    grid.save(folder / "grid.png")
    if progress:
        strip = Image.new("RGB", (790, 168), (127, 127, 127))
        for index in range(5):
            strip.paste(grid.resize((152, 152)), (158 * index + 2, 0))
        strip.save(folder / "progress.png")


def generator_scores(distance: float, **changes: Any) -> dict[str, Any]:
    shares = dict(zip(CLASSES, [0.14, 0.2, 0.09, 0.1, 0.07, 0.05, 0.06, 0.19, 0.04, 0.06], strict=True))
    return {
        "frechet_distance": distance, "frechet_relative": distance / 870, "precision": 0.8125, "coverage": 0.7,
        "inception_score": 8.31, "class_entropy": 2.17, "class_entropy_max": 2.30259,
        "floors": {"frechet_distance": 2.36, "inception_score": 9.79, "class_entropy": 2.302, "precision": 0.93},
        "sets": {"frechet_distance": [distance, distance + 1.5, distance - 1.5], "precision": [0.8125, 0.8, 0.825]},
        "class_shares": shares, "n_real": 10000, "n_fake": 10000, "extractor": "digit_features",
        "extractor_sha256": "5ca1ab1e" * 8, "feature_dimensions": 128, "data": "mnist",
    } | changes  # fmt: skip


def classifier_scores(accuracy: float, **changes: Any) -> dict[str, Any]:
    per_class = {digit: accuracy - 0.001 * index for index, digit in enumerate(CLASSES)}
    return {
        "accuracy": accuracy, "negative_log_likelihood": 0.0341, "per_class_accuracy": per_class, "n_real": 10000,
        "data": "mnist", "weights_sha256": "b0a710ad" * 8,
    } | changes  # fmt: skip


@pytest.fixture(scope="session")
def params() -> Parameters:
    """The project's own variants gan, dcgan and digit_features, and one that was never trained: cnn_classifier.

    Their page is one without libraries; `bundled` has them.
    """
    params = load(ROOT / "params.yaml")
    shown = ("digit_features", "cnn_classifier", "gan", "dcgan")
    variants = {name: params.variants[name] for name in shown}
    return params.model_copy(update={"variants": variants, "report": Report(bundle=False, explorer=())})


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that really draw, a conditional one and one with attention, and their exports, which take seconds."""
    root = tmp_path_factory.mktemp("drawing")
    params = load(ROOT / "params.yaml")
    variants = {name: params.variants[name] for name in DRAWING}
    for name, variant in variants.items():
        save_untrained(root / "models" / name, name, variant)
    export(params.model_copy(update={"variants": variants}), root)
    return root


@pytest.fixture
def bundled(params: Parameters, root: Path, drawing: Path, require: Callable[[str, str, object], None]) -> Parameters:
    """The same with libraries, and with `drawing` in `root`."""
    return bundle(params, root, drawing, require)


@pytest.fixture(scope="session")
def page(params: Parameters, drawing: Path, require: Callable[[str, str, object], None], tmp_path_factory: Any) -> Path:
    """The page of `bundled`, written once for those that only look at it."""
    folder: Path = tmp_path_factory.mktemp("page")
    write_root(folder)
    return write_report(bundle(params, folder, drawing, require), folder)


def bundle(params: Parameters, root: Path, drawing: Path, require: Callable[[str, str, object], None]) -> Parameters:
    """Add libraries and `drawing` to what is in `root`; the parameters of both."""
    (root / "web").mkdir()
    shutil.copy(ROOT / "web/package-lock.json", root / "web")
    require("npm", "npm's registry did not answer `make setup`: run it again", not lacking(root))
    shutil.copytree(drawing, root, dirs_exist_ok=True)
    for name in DRAWING:
        write_pictures(root, name, progress=True)
        frames = [Image.new("RGB", (60, 20), (40 * index, 0, 0)) for index in range(5)]
        frames[0].save(root / "samples" / name / "walk.gif", save_all=True, append_images=frames[1:], duration=120)
        milestones = np.array([0, 100, 2000, 30_000, 1_800_000], np.int64)
        save_file({"images_seen": milestones}, root / "models" / name / "progress.safetensors")
    few = generator_scores(31.5, conditional_accuracy=0.93, nearer_than_half=0.1)
    write_json(root / "scores/dcgan_conditional/scores.json", few)
    project = load(ROOT / "params.yaml")
    variants = params.variants | {name: project.variants[name] for name in DRAWING}
    return params.model_copy(update={"variants": variants, "report": Report(bundle=True, explorer=DRAWING)})


def save_untrained(folder: Path, name: str, variant: Variant) -> None:
    """A model of a variant as its networks begin, from a seed."""
    side = variant.view.size or 28
    torch.manual_seed(1)
    networks = architecture.build(variant.architecture, variant.network, (1, side, side), len(CLASSES))
    folder.mkdir(parents=True)
    description = trained.Description(
        name,
        variant.system,
        variant.architecture,
        variant.network,
        (1, side, side),
        tuple(CLASSES),
        "mnist",
        "last",
        640,
    )
    trained.save(folder, description, networks)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Outputs of two GANs and a classifier, for one test to do with as it likes."""
    write_root(tmp_path)
    return tmp_path


def write_root(root: Path) -> None:
    gan_columns = ["generator_loss", "discriminator_loss", "real_probability", "fake_probability"]
    generator = {"0.weight": [100, 256], "1.weight": [256], "1.running_mean": [256], "1.num_batches_tracked": []}
    for name, distance in (("gan", 243.7), ("dcgan", 61.08)):
        write_model(root, name, "gan", {"generator": generator, "discriminator": {"0.weight": [7, 9]}}, gan_columns)
        write_pictures(root, name, progress=True)
        write_json(root / "scores" / name / "scores.json", generator_scores(distance))
    write_model(root, "digit_features", "classifier", {"classifier": {"w": [1000]}}, ["loss", "accuracy"])
    write_pictures(root, "digit_features", progress=False)
    write_json(root / "scores/digit_features/scores.json", classifier_scores(0.9934))
