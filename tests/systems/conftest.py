"""Small networks in float64, so that our steps and plain ones can be told from rounding; and draws that are watched."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from reprogan.models import architecture
from reprogan.systems import system
from reprogan.training.randomness import Randomness

RATE = {"learning_rate": 1e-3, "betas": [0.5, 0.9]}
GAN = {
    "loss": "non_saturating",
    "n_critic": 1,
    "penalty": 0.0,
    "clip": None,
    "burn_in": None,
    "generator": RATE,
    "discriminator": {"learning_rate": 2e-3, "betas": [0.0, 0.99]},
}
CONVOLUTIONAL = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "none",
    "condition": "none",
    "init_std": 0.1,
}
UNET = {
    "width": 4,
    "levels": 3,
    "dropout": 0.5,
    "norm": "instance",
    "patch": 16,
    "patch_width": 4,
    "patch_norm": "instance",
    "init_std": None,
}
CAPTIONS = {"widths": [3, 4], "word_size": 4, "phrases": [1, 2], "features": 5}
STACKGAN = {"stage": 1, "latent_size": 4, "condition_size": 3, "filters": 1, "residual_blocks": 0}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "fully_connected": (
        "fully_connected",
        {"latent_size": 8, "latent_distribution": "uniform", "hidden": 16, "dropout": 0.0, "init_std": None},
    ),
    "dcgan": ("dcgan", CONVOLUTIONAL | {"discriminator_norm": "batch"}),
    "dcgan layer": ("dcgan", CONVOLUTIONAL | {"discriminator_norm": "layer"}),
    "dcgan concatenation": ("dcgan", CONVOLUTIONAL | {"condition": "concatenation"}),
    "dcgan projection": ("dcgan", CONVOLUTIONAL | {"condition": "projection"}),
    "cgan": ("cgan", {"latent_size": 6, "latent_distribution": "normal", "hidden": 12, "init_std": None}),
    "multilayer": ("multilayer", {"latent_size": 2, "latent_distribution": "normal", "hidden": 12, "layers": 2}),
    "autoencoder": (
        "autoencoder",
        {"layers": "fully_connected", "latent_size": 3, "width": 8, "variational": False},
    ),
    "vae": ("autoencoder", {"layers": "fully_connected", "latent_size": 3, "width": 8, "variational": True}),
    "unet": ("unet", UNET),
    "unet batch": ("unet", UNET | {"norm": "batch", "patch_norm": "none"}),
    "unet alone": ("unet", UNET | {"patch": None}),
    "caption_features": ("caption_features", CAPTIONS),
    "stackgan first": ("stackgan", STACKGAN),
    "stackgan second": ("stackgan", STACKGAN | {"stage": 2, "residual_blocks": 1}),
}


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Of every test here."""


class Watched(Randomness):
    """A run's draws; keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__(1, torch.device("cpu"))
        self.asked: list[tuple[str, int]] = []

    def generator(self, purpose: str, position: int = 0) -> torch.Generator:
        self.asked.append((purpose, position))
        return super().generator(purpose, position)


@pytest.fixture
def draws() -> Watched:
    return Watched()


@pytest.fixture
def double() -> Iterator[None]:
    """float64 for whatever is made from here on; `game` makes its networks so."""
    yield
    torch.set_default_dtype(torch.float32)


Game = Callable[..., tuple[system.System, dict[str, nn.Module]]]


@pytest.fixture
def game(double: None) -> Game:
    """`game(kind, system name, objective)`: a system of float64 networks, and copies of them for a plain loop.

    `shape` is that of the images, 28×28 unless it is said; `given` is what else the networks are made for.
    """

    def make(
        kind: str, name: str, objective: dict[str, Any], shape: tuple[int, int, int] = (1, 28, 28), **given: Any
    ) -> tuple[system.System, dict[str, nn.Module]]:
        torch.manual_seed(1)
        architecture_name, block = NETWORKS[kind]
        shape = (2, 1, 1) if kind == "multilayer" else shape
        networks = architecture.build(architecture_name, block, shape, 10, **given)
        for network in networks.values():
            network.double()
        built = system.build(name, networks, objective, "params.yaml: ")  # its step counters must be float32
        theirs = copy.deepcopy(networks)
        torch.set_default_dtype(torch.float64)
        return built, theirs

    return make


@pytest.fixture
def objective() -> Callable[..., dict[str, Any]]:
    """`objective(loss="hinge")`: a block of the system `gan` with these changes."""
    return lambda **changes: GAN | changes


@pytest.fixture
def same() -> Callable[[system.System, dict[str, nn.Module]], None]:
    """Fail unless all weights of a system are those of the plain loop."""

    def compare(ours: system.System, theirs: dict[str, nn.Module]) -> None:
        for name, network in theirs.items():
            for key, value in network.state_dict().items():
                found = ours.networks[name].state_dict()[key]
                torch.testing.assert_close(found, value, rtol=1e-6, atol=1e-9, msg=lambda m, key=key: f"{key}: {m}")

    return compare
