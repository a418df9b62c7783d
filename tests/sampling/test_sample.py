"""What the stage `sample` writes, and what it says to damaged input."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from reprogan.config import Compute, Sampling, ToyFaces, View, load
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.data.faces.prepare import prepare
from reprogan.entry import exit_status
from reprogan.models import architecture, trained
from reprogan.models.latents import draw_latents
from reprogan.sampling.generate import generate
from reprogan.sampling.pictures import scatter
from reprogan.sampling.sample import sample_variant
from reprogan.training.randomness import Randomness

COMPUTE = Compute(device="cpu", threads=1, isa="avx2", precision="float32", channels_last=True)
CLASSES = tuple("0123456789")
GAN = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "dropout": 0.5, "init_std": None}


SIDE = 16
WALKS = ("walk.gif", "walk.png")
ALL = View(size=None, classes=None, per_class=None)


def save_model(
    folder: Path,
    name: str,
    system: str,
    kind: str,
    network: dict,
    shape: tuple[int, int, int] = (1, SIDE, SIDE),
    change: Callable[[dict[str, nn.Module]], object] = lambda networks: None,
) -> dict[str, nn.Module]:
    """A model of random weights, `change`d, as the stage `train` leaves it."""
    networks = architecture.build(kind, network, shape, 10)
    with torch.no_grad():
        change(networks)
    description = trained.Description(name, system, kind, network, shape, CLASSES, "noise", "last", 0)
    trained.save(folder / name, description, networks)
    return trained.load(folder / name).networks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prepared data of 120 test images, a generator `gan` and a classifier `cnn`."""
    torch.manual_seed(1)
    images = np.random.default_rng(1).integers(0, 256, (120, 1, SIDE, SIDE), dtype=np.uint8)
    arrays = hdf5.Arrays(images, np.arange(120, dtype=np.int64) % 10)
    hdf5.write(tmp_path / "digits.h5", name="noise", classes=CLASSES, sources={}, train=arrays, test=arrays)
    save_model(tmp_path, "gan", "gan", "fully_connected", GAN)
    save_model(tmp_path, "cnn", "classifier", "cnn_classifier", {})
    strip = {"images": torch.zeros(2, 64, 1, SIDE, SIDE, dtype=torch.uint8), "images_seen": torch.tensor([0, 64])}
    save_file(strip, tmp_path / "gan/progress.safetensors")
    return tmp_path


@pytest.fixture(autouse=True)
def torch_settings():
    """torch's global settings as they were before."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def sample(folder: Path, name: str, out: str = "out", view: View = ALL, data: str = "digits.h5") -> Path:
    sampling = Sampling(seed=3, count=250)
    sample_variant(folder / name, folder / data, view, sampling, 1, COMPUTE, folder / out / name)
    return folder / out / name


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def assert_same_bytes(first: Path, again: Path) -> None:
    assert names(first) == names(again)
    for path in first.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def tile(path: Path, row: int, column: int, side: int = SIDE) -> np.ndarray:
    """One image of a grid in which each pixel is two wide."""
    top, left = 2 + row * (2 * side + 2), 2 + column * (2 * side + 2)
    return np.asarray(Image.open(path))[top : top + 2 * side : 2, left : left + 2 * side : 2, 0]


def bytes_of(images: torch.Tensor) -> np.ndarray:
    """[-1, 1] => 0 to 255."""
    return np.clip(np.rint((images.double().numpy() + 1) * 127.5), 0, 255).astype(np.uint8)


def test_a_generator(folder):
    out = sample(folder, "gan")
    assert names(out) == ["grid.png", "progress.png", "samples.h5", *WALKS]
    with h5py.File(out / "samples.h5") as file:
        images = torch.from_numpy(file["images"][()])
        assert file.attrs["seed"] == 3 and file.attrs["variant"] == "gan"
    assert torch.equal(images, torch.cat(list(generate(trained.load(folder / "gan"), 250, 3))))
    assert Image.open(out / "grid.png").size == (10 * (32 + 2) + 2,) * 2
    assert (tile(out / "grid.png", 3, 4) == images[34, 0].numpy()).all()
    assert_same_bytes(out, sample(folder, "gan", "again"))


def test_a_classifier_shows_the_hundred_it_is_least_sure_of(folder):
    out = sample(folder, "cnn")
    assert names(out) == ["grid.png"]
    split = hdf5.read(folder / "digits.h5", "test")
    with torch.no_grad():
        logits = trained.load(folder / "cnn").networks["classifier"](to_float(torch.from_numpy(split.images)))
    sure = logits.log_softmax(1)[torch.arange(120), torch.from_numpy(split.labels)]
    worst = int(sure.argmin())
    assert (tile(out / "grid.png", 0, 0) == split.images[worst, 0]).all()


@pytest.mark.parametrize("damage", ["generator.safetensors", "model.json", "progress.safetensors"])
def test_a_damaged_model_is_one_line_and_nothing_is_written(folder, capsys, damage):
    path = folder / "gan" / damage
    path.write_bytes(path.read_bytes()[:20])
    assert exit_status(lambda: sample(folder, "gan") and None) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"reprogan: {path}: ") and error.count("\n") == 1 and "dvc repro" in error
    assert list((folder / "out").rglob("*.part")) == []


def test_a_classifier_of_some_classes_shows_those(folder):
    out = sample(folder, "cnn", view=View(size=None, classes=("3", "5"), per_class=None))
    split = hdf5.read(folder / "digits.h5", "test")
    seen = {image.tobytes() for image in split.images[np.isin(split.labels, (3, 5))]}
    shown = {tile(out / "grid.png", index // 10, index % 10).tobytes() for index in range(24)}
    assert shown == seen and Image.open(out / "grid.png").height == 3 * (32 + 2) + 2


def test_a_conditional_generator_has_a_row_for_each_class(folder):
    network = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "init_std": 0.5}
    save_model(folder, "cgan", "gan", "cgan", network)
    out = sample(folder, "cgan")
    assert names(out) == ["grid.png", "samples.h5", *WALKS]
    model = trained.load(folder / "cgan")
    shown = set()
    for label in range(10):
        images = torch.cat(list(generate(model, 10, 3, label=label)))[:, 0].numpy()
        for column in range(10):
            assert (tile(out / "grid.png", label, column) == images[column]).all()
            shown.add(images[column].tobytes())
    assert len(shown) == 100
    with h5py.File(out / "samples.h5") as file:
        assert file["asked_for"].dtype == np.int64
        assert file["asked_for"][()].tolist() == [index % 10 for index in range(250)]
        by_class = torch.cat(list(generate(model, 250, 3, label=7)))
        assert (file["images"][7::10] == by_class[7::10].numpy()).all()
    assert_same_bytes(out, sample(folder, "cgan", "again"))


@pytest.mark.parametrize("layers", ["fully_connected", "convolutional"])
def test_an_autoencoder_gives_held_out_images_back(folder, layers):
    network = {"layers": layers, "latent_size": 3, "width": 8, "variational": False}
    networks = save_model(folder, "ae", "autoencoder", "autoencoder", network)
    out = sample(folder, "ae")
    assert names(out) == ["grid.png", "latents.png", "samples.h5"]
    test = hdf5.read(folder / "digits.h5", "test").images
    codes = networks["encoder"](to_float(torch.from_numpy(test)))
    expected = bytes_of(networks["decoder"](codes))
    with h5py.File(out / "samples.h5") as file:
        assert sorted(file["held_out"]) == ["codes", "reconstructions"]
        assert np.allclose(file["held_out/codes"][()], codes.numpy(), atol=1e-5)
        made = file["held_out/reconstructions"][()]
        assert (file["images"][()] == made).all() and file.attrs["variant"] == "ae"
    assert np.abs(made.astype(int) - expected).max() <= 1 and (made == expected).mean() > 0.99
    for row, column, index in ((0, 0, 0), (0, 9, 9), (2, 4, 14), (8, 9, 49)):
        assert (tile(out / "grid.png", row, column) == test[index, 0]).all()
        assert (tile(out / "grid.png", row + 1, column) == made[index, 0]).all()
    assert Image.open(out / "grid.png").height == 10 * (32 + 2) + 2
    assert_same_bytes(out, sample(folder, "ae", "again"))


def test_codes_of_two_numbers_are_drawn_as_they_are(folder):
    network = {"layers": "fully_connected", "latent_size": 2, "width": 8, "variational": False}
    networks = save_model(folder, "ae", "autoencoder", "autoencoder", network)
    out = sample(folder, "ae")
    test = hdf5.read(folder / "digits.h5", "test")
    with h5py.File(out / "samples.h5") as file:
        codes = torch.from_numpy(file["held_out/codes"][()])
    assert codes.shape == (120, 2) and "encoder" in networks
    expected = scatter(codes / codes.abs().max(), torch.from_numpy(test.labels))
    assert (np.asarray(Image.open(out / "latents.png")) == np.asarray(expected)).all()


def test_an_autoencoder_of_some_classes_and_a_size_sees_those(folder):
    network = {"layers": "fully_connected", "latent_size": 2, "width": 8, "variational": False}
    save_model(folder, "ae", "autoencoder", "autoencoder", network, (1, 32, 32))
    out = sample(folder, "ae", view=View(size=32, classes=("1",), per_class=2))
    with h5py.File(out / "samples.h5") as file:
        assert file["held_out/reconstructions"].shape == (12, 1, 32, 32)


def narrow(networks: dict[str, nn.Module]) -> None:
    """The logarithms of all variances become -60: each draw is the mean."""
    last = networks["encoder"].layers[-1]
    last.weight[3:] = 0
    last.bias[3:] = -60


def test_a_vae_draws_and_gives_back(folder):
    network = {"layers": "fully_connected", "latent_size": 3, "width": 8, "variational": True}
    networks = save_model(folder, "vae", "vae", "autoencoder", network, change=narrow)
    (folder / "vae/progress.safetensors").write_bytes((folder / "gan/progress.safetensors").read_bytes())
    out = sample(folder, "vae")
    assert names(out) == ["grid.png", "latents.png", "progress.png", "reconstructions.png", "samples.h5", *WALKS]
    test = hdf5.read(folder / "digits.h5", "test").images
    brightness = torch.from_numpy(test).double() / 255
    means = networks["encoder"](to_float(torch.from_numpy(test)))[:, :3]
    coins = torch.distributions.Bernoulli(logits=networks["decoder"].layers(means).double(), validate_args=False)
    with h5py.File(out / "samples.h5") as file:
        assert sorted(file["held_out"]) == ["codes", "log_variance", "nats", "reconstructions"]
        assert np.allclose(file["held_out/codes"][()], means.numpy(), atol=1e-5)
        assert (file["held_out/log_variance"][()] == -60).all()
        assert np.allclose(file["held_out/nats"][()], -coins.log_prob(brightness).sum((1, 2, 3)).numpy(), rtol=1e-5)
        made = file["held_out/reconstructions"][()]
        images = torch.from_numpy(file["images"][()])
    assert torch.equal(images, torch.cat(list(generate(trained.load(folder / "vae"), 250, 3))))
    assert (tile(out / "grid.png", 0, 1) == images[1, 0].numpy()).all()
    assert (tile(out / "reconstructions.png", 0, 1) == test[1, 0]).all()
    assert (tile(out / "reconstructions.png", 1, 1) == made[1, 0]).all()
    assert_same_bytes(out, sample(folder, "vae", "again"))


def test_a_wide_vae_draws_the_codes_that_it_is_judged_by(folder):
    def widen(networks: dict[str, nn.Module]) -> None:
        networks["encoder"].layers[-1].bias[3:] = 4

    network = {"layers": "fully_connected", "latent_size": 3, "width": 8, "variational": True}
    nats = []
    for name, change in (("narrow", narrow), ("wide", widen)):
        torch.manual_seed(5)
        save_model(folder, name, "vae", "autoencoder", network, change=change)
        with h5py.File(sample(folder, name) / "samples.h5") as file:
            nats.append(file["held_out/nats"][()])
    assert (nats[1] - nats[0]).std() > 0.1


def aim(networks: dict[str, nn.Module]) -> None:
    """Every point falls on (0.5, 0.75)."""
    last = networks["generator"].layers[-2]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.5, 0.75]))


def test_points_are_a_scatter_plot(folder):
    random = np.random.default_rng(1)
    points = hdf5.Arrays(random.normal(size=(20, 2, 1, 1)).astype(np.float32), np.arange(20, dtype=np.int64) % 10)
    hdf5.write(folder / "ring.h5", name="ring", classes=CLASSES, sources={}, train=points, test=points)
    network = {"latent_size": 2, "latent_distribution": "normal", "hidden": 8, "layers": 1}
    save_model(folder, "ring", "gan", "multilayer", network, (2, 1, 1), aim)
    strip = {"images": torch.zeros(3, 40, 2, 1, 1), "images_seen": torch.tensor([0, 64, 128])}
    save_file(strip, folder / "ring/progress.safetensors")
    out = sample(folder, "ring", data="ring.h5")
    assert names(out) == ["grid.png", "progress.png", "samples.h5"]
    with h5py.File(out / "samples.h5") as file:
        assert file["images"].dtype == np.float32 and file["images"].shape == (250, 2, 1, 1)
        assert (file["images"][:, :, 0, 0] == [0.5, 0.75]).all()
    rows, columns = np.nonzero((np.asarray(Image.open(out / "grid.png")) != 255).any(2))
    # ±1.5 over 480 pixels
    assert columns.mean() == pytest.approx(240 + 160 * 0.5, abs=1) and rows.mean() == pytest.approx(120, abs=1)
    assert Image.open(out / "progress.png").size == (3 * 164, 176)
    assert_same_bytes(out, sample(folder, "ring", "again", data="ring.h5"))


@pytest.mark.parametrize("latent_size", [8, 10])
def test_attention_is_shown_for_the_images_themselves(folder, latent_size):
    network = {
        "latent_size": latent_size,
        "latent_distribution": "normal",
        "filters": 2,
        "discriminator_norm": "spectral",
        "generator_spectral": True,
        "generator_attention": [4, 8],
        "discriminator_attention": [],
        "init_std": None,
    }
    networks = save_model(folder, "sagan", "gan", "dcgan64", network, (1, 64, 64))
    out = sample(folder, "sagan", view=View(size=64, classes=None, per_class=None))
    assert names(out) == ["attention.png", "grid.png", "samples.h5", *WALKS]
    assert Image.open(out / "grid.png").size == (10 * (64 + 2) + 2,) * 2  # large ones are not magnified

    generator = networks["generator"]
    z = draw_latents(generator, 100, Randomness(3, torch.device("cpu")).generator("sample", 0))
    seen: dict[int, torch.Tensor] = {}
    attentions = [layer for layer in generator.layers if hasattr(layer, "gamma")]
    for layer in attentions:
        layer.register_forward_pre_hook(lambda layer, given: seen.__setitem__(id(layer), given[0]))
    images = bytes_of(generator(z))
    picture = np.asarray(Image.open(out / "attention.png"))
    assert picture.shape == (6 * 66 + 2 + 16, 2 * (8 * 66 + 2 + 4), 3)
    for block, (side, layer) in enumerate(zip((4, 8), attentions, strict=True)):
        x = seen[id(layer)]
        queries, keys = layer.query(x).flatten(2), layer.key(x).flatten(2)
        weights = torch.einsum("nci,ncj->nij", queries, keys).softmax(2)
        cell = 64 // side
        for image in range(6):
            for point, (down, right) in enumerate(((0.35, 0.5), (0.5, 0.5), (0.65, 0.5), (0.1, 0.1))):
                row, column = int(down * side), int(right * side)
                top, left = 2 + image * 66, block * (8 * 66 + 6) + 2 + 2 + 2 * point * 66
                marked = picture[top : top + 64, left : left + 64]
                mark = (slice(row * cell, (row + 1) * cell), slice(column * cell, (column + 1) * cell))
                assert (marked[mark] == (255, 60, 40)).all()
                rest = np.ones((64, 64), bool)
                rest[mark] = False
                assert np.abs(marked[rest].astype(int) - images[image, 0][rest][:, None]).max() <= 1
                heat = picture[top : top + 64, left + 66 : left + 130, 0].astype(int)
                expected = (weights[image, row * side + column] / weights[image, row * side + column].max()).view(
                    side, side
                )
                blown_up = (255 * expected).numpy().repeat(cell, 0).repeat(cell, 1)
                assert np.abs(heat - blown_up).max() <= 1.01, (image, point)
    assert_same_bytes(out, sample(folder, "sagan", "again", View(size=64, classes=None, per_class=None)))


def test_without_attention_there_is_no_picture_of_it(folder):
    network = {
        "latent_size": 4,
        "latent_distribution": "normal",
        "filters": 2,
        "discriminator_norm": "batch",
        "generator_spectral": False,
        "generator_attention": [],
        "discriminator_attention": [4],
        "init_std": 0.02,
    }
    save_model(folder, "dcgan64", "gan", "dcgan64", network, (1, 64, 64))
    out = sample(folder, "dcgan64", view=View(size=64, classes=None, per_class=None))
    assert names(out) == ["grid.png", "samples.h5", *WALKS]


# ---- faces --------------------------------------------------------------------------------------------------------


@pytest.fixture
def faces(folder: Path) -> Path:
    """In the folder, prepared toy faces of 100 or so, 20 of them held out: faces.h5."""
    block = load(Path(__file__).parents[2] / "params.yaml").faces
    prepare(block.model_copy(update={"toyfaces": ToyFaces(seed=1, count=120)}), folder / "faces.h5")
    return folder


def test_large_images_are_shown_in_smaller_numbers(faces):
    network = {"latent_size": 4, "latent_distribution": "normal", "width": 2, "init_std": 0.05}
    save_model(faces, "dcgan128", "gan", "dcgan128", network, (3, 128, 128))
    out = sample(faces, "dcgan128", data="faces.h5")
    assert names(out) == ["grid.png", "samples.h5", *WALKS]
    assert Image.open(out / "grid.png").size == (6 * 130 + 2,) * 2
    with h5py.File(out / "samples.h5") as file:
        images = file["images"]
        assert images.shape == (250, 3, 128, 128)
        generated = torch.cat(list(generate(trained.load(faces / "dcgan128"), 250, 3)))
        assert np.array_equal(images[()], generated.numpy())
    assert_same_bytes(out, sample(faces, "dcgan128", "again", data="faces.h5"))


def test_the_faces_of_whose_attributes_a_classifier_is_least_sure(faces):
    description = hdf5.describe(faces / "faces.h5")
    network = {"widths": [4, 4, 4, 4], "features": 8}
    networks = architecture.build("face_features", network, (3, 128, 128), len(description.answers))
    saved = trained.Description(
        "judge", "classifier", "face_features", network, (3, 128, 128), description.answers, "toy faces", "last", 0
    )
    trained.save(faces / "judge", saved, networks)
    out = sample(faces, "judge", data="faces.h5")
    assert names(out) == ["grid.png"]
    test = hdf5.read(faces / "faces.h5", "test")
    assert test.attributes is not None
    with torch.no_grad():
        logits = trained.load(faces / "judge").networks["classifier"](to_float(torch.from_numpy(test.images)))
    worst, least = 0, float("inf")
    for image, row in enumerate(logits.tolist()):
        first = 0
        for code, options in zip(test.attributes[image], description.attributes.values(), strict=True):
            if row[first + code] < least:
                worst, least = image, row[first + code]
            first += len(options)
    shown = np.asarray(Image.open(out / "grid.png"))[2:130, 2:130]
    assert np.array_equal(shown, test.images[worst].transpose(1, 2, 0))
