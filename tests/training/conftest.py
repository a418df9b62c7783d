"""A small prepared data set and small variants, for training inside the test's own process."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from reprogan.blocks import parse
from reprogan.config import NO_UPSTREAM, Compute, Ring, Stacked, ToyFaces, Variant, load
from reprogan.data import captions, hdf5, pairs, ring, stacked
from reprogan.data.faces.prepare import prepare as prepare_faces
from reprogan.entry import exit_status
from reprogan.training import history
from reprogan.training.ranks import ALONE, Ranks
from reprogan.training.run import train_variant

REPOSITORY = Path(__file__).parents[2]
COMPUTE = {"device": "cpu", "threads": 1, "isa": "avx2", "precision": "float32", "channels_last": True}
SHORT = {"images": 640, "batch_size": 16, "log_every": 64, "checkpoint_every": 128}
SHORTER = {"images": 320, "batch_size": 8, "log_every": 32, "checkpoint_every": 64}  # of larger images; as many steps
OF_28 = ("digits", "stacked", "ring")  # data: of 28×28 pixels, or less
SMALL = {"filters": 4, "hidden": 16, "width": 16}  # of any network that has such a key
NARROW = {  # of a variant or, where it has none, its architecture
    "sagan": {"generator_attention": [8, 16], "discriminator_attention": [8]},
    "r3gan": {"widths": [16, 8, 4], "blocks": [1, 1, 0]},
    "dcgan128": {"width": 4},
    "progan": {"widths": [8, 8, 8, 4, 4, 4]},
    "face_features": {"widths": [4, 8, 8, 8], "features": 16},
    "caption_features": {"widths": [4, 8, 8, 8], "word_size": 8, "features": 16},
    "unet": {"width": 4, "patch_width": 4},
    "stackgan": {"latent_size": 4, "condition_size": 8},
}
PROGRESSES = ("gan", "vae", "pix2pix", "stackgan")  # systems


@dataclass
class Bench:
    """A folder with prepared data in which variants of params.yaml are trained, shortened."""

    root: Path

    @property
    def data(self) -> Path:
        """The prepared data: 100 training images of 28×28."""
        return self.root / "digits.h5"

    def variant(self, name: str, **changes: Any) -> Variant:
        """A variant of params.yaml with a short budget; `changes` are keys below its block: `training.images`."""
        block = load(REPOSITORY / "params.yaml").variant(name).model_dump(mode="json")
        small = block["data"] in OF_28 and block["view"]["size"] is None
        block["training"] |= SHORT if small else SHORTER
        block["training"] |= {"milestones": [0, 100] if block["system"] in PROGRESSES else []}
        if name != "gan":  # whose checkpoints have a size that tests count on
            block["network"] |= {key: value for key, value in SMALL.items() if key in block["network"]}
        block["network"] |= NARROW.get(name) or NARROW.get(block["architecture"], {})
        if block["objective"].get("growth"):  # the fourth row is in the middle of a fade
            block["objective"]["growth"] = {"stable": [16] * 5, "fade": [32] * 5}
        if block["objective"].get("n_critic", 1) > 1:  # as many images a step as with one
            block["objective"]["n_critic"], block["training"]["batch_size"] = 2, block["training"]["batch_size"] // 2
        for key, value in changes.items():
            *folders, last = key.split(".")
            inner = block
            for folder in folders:
                inner = inner[folder]
            inner[last] = value
        return parse(Variant, block, f"params.yaml: variants.{name}.")

    def prepared(self, kind: str) -> Path:
        """The prepared data of that name: the digits, or 100 + 20 images or points made by data/<kind>.py."""
        path = self.root / f"{kind}.h5"
        if kind == "stacked" and not path.exists():
            stacked.prepare(Stacked(seed=1, train=100, test=20), self.data, path)
        if kind == "ring" and not path.exists():
            ring.prepare(Ring(seed=1, modes=8, std=0.02, train=100, test=20), path)
        if kind not in OF_28 and not path.exists():
            path.write_bytes(toy_faces(kind))
        return path

    def train(
        self, name: str = "gan", variant: Variant | None = None, out: str = "out", ranks: Ranks = ALONE, **compute: Any
    ) -> Path:
        """Train; the folder of the model."""
        settings = Compute.model_validate(COMPUTE | compute)
        folder = self.root / out / name
        variant = variant or self.variant(name)
        upstream = variant.upstream.model
        if upstream != NO_UPSTREAM and not (self.root / upstream).exists():
            before = upstream.removeprefix("models/")
            self.train(before, self.variant(before, **{"training.milestones": []}), out="models")
        data, scratch = self.prepared(variant.data), self.root / "scratch"
        train_variant(name, variant, settings, data, scratch, folder, self.root, ranks)
        return folder

    def checkpoints(self) -> list[Path]:
        """All checkpoints, oldest first."""
        return sorted((self.root / "scratch").rglob("*.ckpt"))

    def content(self, folder: Path) -> dict[str, bytes]:
        """{name: bytes} of a model's files."""
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@cache
def toy_faces(kind: str = "faces") -> bytes:
    """A prepared file of about 100 + 20 toy faces, or of captions or pairs made of them."""
    params = load(REPOSITORY / "params.yaml")
    block = params.faces.model_copy(update={"toyfaces": ToyFaces(seed=1, count=130)})
    with TemporaryDirectory() as name:
        folder = Path(name)
        faces, out = folder / "faces.h5", folder / f"{kind}.h5"
        if kind == "faces":
            prepare_faces(block, out)
            return out.read_bytes()
        faces.write_bytes(toy_faces())
        if kind == "captions":
            captions.prepare(params.captions.model_copy(update={"table": str(faces)}), faces, out)
        else:
            pairs.prepare(kind, params.pairs[kind], block, faces, out)
        return out.read_bytes()


@pytest.fixture(scope="session")
def bench_at() -> Callable[[Path], Bench]:
    """`bench_at(folder)`: prepared data of 100 + 20 images of 28×28 in ten classes, and what trains on them."""

    def make(root: Path) -> Bench:
        write_data(root / "digits.h5")
        return Bench(root)

    return make


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench_at: Callable[[Path], Bench]) -> Bench:
    """Such a bench for one test; training is not tracked."""
    monkeypatch.setenv("REPROGAN_TRACKING", "off")
    return bench_at(tmp_path)


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[], object]], str]:
    """`failed(work)`: the one line that `work` fails with, at exit status 2."""

    def line_of(work: Callable[[], object]) -> str:
        capsys.readouterr()
        assert exit_status(work) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("reprogan: ")]
        assert len(lines) == 1, lines
        return lines[0].removeprefix("reprogan: ")

    return line_of


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`stop_after(rows)`: training gets a SIGTERM when its history has that many rows; 0: never again."""
    append = history.History.append
    at = 0

    def appended(self: history.History, images_seen: int, means: list[float]) -> None:
        append(self, images_seen, means)
        if len(self.rows) == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(rows: int) -> None:
        nonlocal at
        at = rows

    monkeypatch.setattr(history.History, "append", appended)
    return stop


def write_data(path: Path, size: int = 28, train: int = 100) -> None:
    """Random prepared data."""
    random = np.random.default_rng(1)
    splits = {}
    for split, count in (("train", train), ("test", 20)):
        images = random.integers(0, 256, (count, 1, size, size), dtype=np.uint8)
        splits[split] = hdf5.Arrays(images, np.arange(count, dtype=np.int64) % 10)
    hdf5.write(path, name="noise", classes=tuple("0123456789"), sources={}, train=splits["train"], test=splits["test"])


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Of every test here."""
