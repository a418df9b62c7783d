"""A model on disk: there and back, and one line for each way in which it can be damaged."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from reprogan.errors import UserError
from reprogan.models import architecture, trained

NETWORK = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "dropout": 0.5, "init_std": None}
CLASSES = tuple("0123456789")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small generator and discriminator in a folder `gan`."""
    torch.manual_seed(1)
    networks = architecture.build("fully_connected", NETWORK, (1, 6, 6), 10)
    description = trained.Description("gan", "gan", "fully_connected", NETWORK, (1, 6, 6), CLASSES, "mnist", "last", 64)
    folder = tmp_path / "gan"
    trained.save(folder, description, networks)
    return folder


def test_there_and_back(model, tmp_path):
    loaded = trained.load(model)
    assert loaded.description.variant == "gan" and loaded.description.image_shape == (1, 6, 6)
    assert loaded.description.classes == CLASSES and loaded.description.network == NETWORK
    for network in loaded.networks.values():
        assert not network.training and not any(weight.requires_grad for weight in network.parameters())
    trained.save(tmp_path / "again", loaded.description, loaded.networks)
    for path in model.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert trained.main_weights(model) == model / "generator.safetensors"


def test_memory_layout_does_not_change_the_bytes(model, tmp_path):
    """channels_last is a matter of strides."""
    parameters = {
        "latent_size": 4,
        "latent_distribution": "normal",
        "filters": 2,
        "discriminator_norm": "spectral",
        "condition": "projection",
        "init_std": 0.02,
    }
    networks = architecture.build("dcgan", parameters, (1, 28, 28), 10)
    description = trained.describe(model)
    trained.save(tmp_path / "rows", description, networks)
    for network in networks.values():
        network.to(memory_format=torch.channels_last)
    trained.save(tmp_path / "channels", description, networks)
    for path in (tmp_path / "rows").iterdir():
        assert (tmp_path / "channels" / path.name).read_bytes() == path.read_bytes()


def drop_key(folder: Path) -> None:
    values = json.loads((folder / "model.json").read_text())
    del values["architecture"]
    (folder / "model.json").write_text(json.dumps(values))


def change(folder: Path, key: str, value: object) -> None:
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(values | {key: value}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


DAMAGE = {
    "no folder": (shutil.rmtree, "model.json: not there; run `dvc repro"),
    "no description": (lambda folder: (folder / "model.json").unlink(), "model.json: not there; run `dvc repro"),
    "no JSON": (lambda folder: (folder / "model.json").write_text("{"), "model.json: not a model description"),
    "not UTF-8": (lambda folder: (folder / "model.json").write_bytes(b"\xff"), "model.json: not a model description"),
    "a list": (lambda folder: (folder / "model.json").write_text("[]"), "model.json: not a model description"),
    "a key missing": (drop_key, "model.json: not a model description"),
    "unknown architecture": (lambda f: change(f, "architecture", "x"), "model.json: architecture: found 'x'; expected"),
    "no weights": (lambda folder: (folder / "generator.safetensors").unlink(), "generator.safetensors: no weights of"),
    "weights cut": (lambda folder: cut(folder / "generator.safetensors"), "generator.safetensors: no weights of"),
    "weights empty": (
        lambda folder: (folder / "discriminator.safetensors").write_bytes(b""),
        "discriminator.safetensors: no weights of",
    ),
    "other weights": (
        lambda folder: shutil.copy(folder / "discriminator.safetensors", folder / "generator.safetensors"),
        "generator.safetensors: no weights of this model",
    ),
    "other size": (lambda folder: change(folder, "image_shape", [1, 7, 7]), "safetensors: no weights of this model"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_one_line(model, damage):
    harm, says = DAMAGE[damage]
    harm(model)
    with pytest.raises(UserError) as error:
        trained.load(model)
    assert says in str(error.value) and "\n" not in str(error.value)
    assert str(model) in str(error.value)


@pytest.mark.parametrize("name", ["generator", "decoder", "classifier"])
def test_the_weights_that_name_the_model(tmp_path, name):
    for file in (name, "encoder", "discriminator"):
        (tmp_path / f"{file}.safetensors").write_bytes(b"")
    assert trained.main_weights(tmp_path) == tmp_path / f"{name}.safetensors"


def test_no_main_weights(tmp_path):
    (tmp_path / "encoder.safetensors").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"no generator.safetensors, decoder.safetensors, classifier.safetensors, text_"
    ):
        trained.main_weights(tmp_path)
