"""Models of random weights, one of each kind that may be asked for something."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reprogan.models import architecture, trained
from reprogan.models.trained import Description, Trained

SIDE = 16
DIGITS = tuple("0123456789")
WORDS = ("a", "beard", "hat", "man", "smiling", "woman")
GAN = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "dropout": 0.5, "init_std": 0.5}
CGAN = {"latent_size": 4, "latent_distribution": "normal", "hidden": 8, "init_std": 0.5}
UNET = {
    "width": 4,
    "levels": 3,
    "dropout": 0.5,
    "norm": "batch",
    "patch": None,
    "patch_width": 4,
    "patch_norm": "none",
    "init_std": 0.3,
}
FEATURES = {"widths": [4, 4], "word_size": 6, "phrases": [1, 2], "features": 8}
DCGAN = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "none",
    "condition": "projection",
    "init_std": 0.3,
}
AUTOENCODER = {"layers": "fully_connected", "latent_size": 3, "width": 8}
STACKGAN = {"stage": 1, "latent_size": 4, "condition_size": 4, "filters": 2, "residual_blocks": 0}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of random weights, one of each kind that may be asked for something."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    save(folder, describe("gan", "gan", "fully_connected", GAN))
    save(folder, describe("cgan", "gan", "cgan", CGAN))
    save(folder, describe("cnn_classifier", "classifier", "cnn_classifier", {}))
    points = {"latent_size": 2, "latent_distribution": "normal", "hidden": 8, "layers": 1}
    save(folder, describe("ring_gan", "gan", "multilayer", points, shape=(2, 1, 1)))
    for name, channels in (("pix2pix_edges", 1), ("own_pairs", 3)):
        shape = (3, SIDE, SIDE)
        save(folder, describe(name, "pix2pix", "unet", UNET, shape=shape, classes=(), source_channels=channels))
    told = {"shape": (3, 64, 64), "classes": (), "vocabulary": WORDS}
    features = describe("caption_features", "contrastive", "caption_features", FEATURES, **told)
    encoders = save(folder, features)
    save(folder, describe("stackgan_1", "stackgan", "stackgan", STACKGAN, upstream=features, **told), encoders)
    save(folder, describe("dcgan_conditional", "gan", "dcgan", DCGAN, shape=(3, 28, 28), classes=("a", "a:b", "c")))
    for name, variational in (("vae", True), ("autoencoder", False)):
        save(folder, describe(name, name, "autoencoder", AUTOENCODER | {"variational": variational}))
    return folder


def describe(
    name: str,
    system: str,
    kind: str,
    network: dict[str, object],
    shape: tuple[int, int, int] = (1, SIDE, SIDE),
    classes: tuple[str, ...] = DIGITS,
    **more: object,
) -> Description:
    return Description(name, system, kind, network, shape, classes, "noise", "last", 0, **more)


def save(folder: Path, description: Description, upstream: dict | None = None) -> dict[str, torch.nn.Module]:
    networks = architecture.build(
        description.architecture,
        description.network,
        description.image_shape,
        len(description.classes),
        words=len(description.vocabulary),
        source_channels=description.source_channels,
        upstream=upstream,
    )
    trained.save(folder / description.variant, description, networks)
    return networks


@pytest.fixture
def load(models: Path, one_thread: None) -> Callable[[str], Trained]:
    """A model by its name."""
    return lambda name: trained.load(models / name)
