"""What the stage `sample` writes, and what it says to damaged input."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from reprogan.config import Compute, Sampling
from reprogan.data import hdf5
from reprogan.entry import exit_status
from reprogan.models import architecture, trained
from reprogan.sampling.generate import generate
from reprogan.sampling.sample import sample_variant

COMPUTE = Compute(device="cpu", threads=1, isa="avx2", precision="float32", channels_last=True)
CLASSES = tuple("0123456789")
GAN = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "dropout": 0.5, "init_std": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prepared data of 120 test images, a generator `gan` and a classifier `cnn`."""
    torch.manual_seed(1)
    images = np.random.default_rng(1).integers(0, 256, (120, 1, 12, 12), dtype=np.uint8)
    arrays = hdf5.Arrays(images, np.arange(120, dtype=np.int64) % 10)
    hdf5.write(tmp_path / "digits.h5", name="noise", classes=CLASSES, sources={}, train=arrays, test=arrays)
    for name, kind, network in (("gan", "fully_connected", GAN), ("cnn", "cnn_classifier", {})):
        system = "gan" if name == "gan" else "classifier"
        description = trained.Description(name, system, kind, network, (1, 12, 12), CLASSES, "noise", "last", 0)
        trained.save(tmp_path / name, description, architecture.build(kind, network, (1, 12, 12), 10))
    strip = {"images": torch.zeros(2, 64, 1, 12, 12, dtype=torch.uint8), "images_seen": torch.tensor([0, 64])}
    save_file(strip, tmp_path / "gan/progress.safetensors")
    return tmp_path


@pytest.fixture(autouse=True)
def torch_settings():
    """torch's global settings as they were before."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def sample(folder: Path, name: str, out: str = "out", count: int = 250) -> Path:
    sampling = Sampling(seed=3, count=count)
    sample_variant(folder / name, folder / "digits.h5", sampling, COMPUTE, folder / out / name)
    return folder / out / name


def test_a_generator(folder):
    out = sample(folder, "gan")
    assert sorted(path.name for path in out.iterdir()) == ["grid.png", "progress.png", "samples.h5"]
    with h5py.File(out / "samples.h5") as file:
        images = torch.from_numpy(file["images"][()])
        assert file.attrs["seed"] == 3 and file.attrs["variant"] == "gan"
    assert torch.equal(images, torch.cat(list(generate(trained.load(folder / "gan"), 250, 3))))
    assert Image.open(out / "grid.png").size == (10 * (24 + 2) + 2,) * 2
    again = sample(folder, "gan", "again")
    for path in out.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_a_classifier_shows_the_hundred_it_is_least_sure_of(folder):
    out = sample(folder, "cnn")
    assert [path.name for path in out.iterdir()] == ["grid.png"]
    split = hdf5.read(folder / "digits.h5", "test")
    from reprogan.data.batches import to_float

    with torch.no_grad():
        logits = trained.load(folder / "cnn").networks["classifier"](to_float(torch.from_numpy(split.images)))
    sure = logits.log_softmax(1)[torch.arange(120), torch.from_numpy(split.labels)]
    worst = int(sure.argmin())
    pixels = np.asarray(Image.open(out / "grid.png"))[2:26:2, 2:26:2, 0]
    assert (pixels == split.images[worst, 0]).all()


@pytest.mark.parametrize("damage", ["generator.safetensors", "model.json", "progress.safetensors"])
def test_a_damaged_model_is_one_line_and_nothing_is_written(folder, capsys, damage):
    path = folder / "gan" / damage
    path.write_bytes(path.read_bytes()[:20])
    assert exit_status(lambda: sample(folder, "gan") and None) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"reprogan: {path}: ") and error.count("\n") == 1 and "dvc repro" in error
    assert list((folder / "out").rglob("*.part")) == []
