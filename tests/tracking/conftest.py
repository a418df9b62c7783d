"""A repository in a temporary folder with what the pipeline would have made of two small variants."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from reprogan.config import Parameters, load
from reprogan.data import hdf5
from reprogan.models import architecture, trained
from reprogan.tracking.store import connect

PROJECT = Path(__file__).parents[2]
VARIANTS = {"gan": ("generator_loss", "discriminator_loss"), "cnn_classifier": ("loss", "accuracy")}
CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Repository:
    """The temporary repository: its folder, its parameters."""

    root: Path
    params: Parameters

    def counts(self) -> dict[str, int]:
        """Rows of every table of mlflow.db."""
        with closing(sqlite3.connect(self.root / "mlflow.db")) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}

    def make_variant(self, name: str, seed: int) -> None:
        """Train `name` anew, so to say: other weights, losses and scores for another seed."""
        make_variant(self.root, self.params, name, VARIANTS[name], seed)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.root / "mlflow.db")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh mlflow.db, made once for all parallel workers: MLflow takes many seconds for it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty"
    with FileLock(f"{root}.lock"):
        if not root.is_dir():
            root.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("MLFLOW_TRACKING_URI", raising=False)
                with connect(root):
                    pass
    return root / "mlflow.db"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Repository:
    """Two variants, trained, sampled and scored (by hand: small random weights), and an MLflow store without runs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "repository of mine"
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text((PROJECT / "params.yaml").read_text())
    shutil.copyfile(empty_store, root / "mlflow.db")  # from another folder, as after a move
    (root / "dvc.yaml").write_text("stages: {}\n")
    params = load(root / "params.yaml")
    images = np.arange(20 * 28 * 28, dtype=np.uint8).reshape(20, 1, 28, 28)
    arrays = hdf5.Arrays(images, np.arange(20, dtype=np.int64) % 10)
    (root / "data/processed").mkdir(parents=True)
    hdf5.write(root / "data/processed/digits.h5", name="ramps", classes=CLASSES, sources={}, train=arrays, test=arrays)
    for variant, losses in VARIANTS.items():
        make_variant(root, params, variant, losses)
    return Repository(root, params)


def make_variant(root: Path, params: Parameters, name: str, losses: tuple[str, ...], seed: int = 1) -> None:
    """Write models/<name>, samples/<name> and scores/<name> with random weights from `seed`."""
    block = params.variant(name)
    torch.manual_seed(seed)
    networks = architecture.build(block.architecture, block.network, (1, 28, 28), 10)
    model = root / "models" / name
    model.mkdir(parents=True, exist_ok=True)
    description = trained.Description(
        name, block.system, block.architecture, block.network, (1, 28, 28), CLASSES, "ramps", "last", 6000
    )
    trained.save(model, description, networks)
    rows = [f"{1000 * i},{i / 3!r},{seed / i!r}\n" for i in range(1, 7)]
    (model / "history.csv").write_text(f"images_seen,{','.join(losses)}\n" + "".join(rows))
    samples = root / "samples" / name
    samples.mkdir(parents=True, exist_ok=True)
    (samples / "grid.png").write_bytes(b"\x89PNG grid")
    if block.system == "gan":
        (samples / "progress.png").write_bytes(b"\x89PNG progress")
        (samples / "samples.h5").write_bytes(b"bulky")
    (root / "scores" / name).mkdir(parents=True, exist_ok=True)
    metrics = {"accuracy_held_out": 0.5 + seed, "class_shares": {"0": 0.25, "1": 0.75}, "extractor": "digit_features"}
    (root / "scores" / name / "scores.json").write_text(json.dumps(metrics, indent=2, sort_keys=True) + "\n")
