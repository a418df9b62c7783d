"""Image i of a seed is a function of (seed, i) alone."""

import pytest
import torch
from torch import Tensor, nn

from reprogan.errors import UserError
from reprogan.models import architecture, trained
from reprogan.models.trained import Description, Trained
from reprogan.sampling.generate import BLOCK, generate

NETWORKS = {
    "fully_connected": {
        "latent_size": 8,
        "latent_distribution": "uniform",
        "hidden": 16,
        "dropout": 0.5,
        "init_std": None,
    },
    "dcgan": {
        "latent_size": 8,
        "latent_distribution": "normal",
        "filters": 4,
        "discriminator_norm": "batch",
        "condition": "none",
        "init_std": 0.1,
    },
    "cgan": {"latent_size": 8, "latent_distribution": "normal", "hidden": 16, "init_std": None},
}
NETWORKS["dcgan, told classes"] = NETWORKS["dcgan"] | {"discriminator_norm": "spectral", "condition": "projection"}


@pytest.fixture(params=list(NETWORKS))
def model(request) -> Trained:
    torch.manual_seed(1)
    kind, network = request.param.split(",")[0], NETWORKS[request.param]
    networks = architecture.build(kind, network, (1, 28, 28), 10)
    for net in networks.values():
        net.eval().requires_grad_(False)
    description = Description("v", "gan", kind, network, (1, 28, 28), tuple("0123456789"), "mnist", "last", 0)
    return Trained(description, networks)


def images(model: Trained, count: int, seed: int = 1, first: int = 0) -> torch.Tensor:
    blocks = list(generate(model, count, seed, first))
    assert all(0 < len(block) <= BLOCK for block in blocks)
    return torch.cat(blocks)


def test_twice_the_same_bytes(model):
    first = images(model, 150)
    assert first.dtype == torch.uint8 and first.shape == (150, 1, 28, 28)
    torch.rand(3)
    assert torch.equal(images(model, 150), first)


@pytest.mark.parametrize(
    "count, first", [(1, 0), (1, 99), (1, 100), (100, 0), (100, 100), (101, 0), (2, 99), (120, 95)]
)
def test_an_image_does_not_hang_on_those_asked_for_with_it(model, count, first):
    everything = images(model, 3 * BLOCK)
    assert torch.equal(images(model, count, first=first), everything[first : first + count])


def test_images_differ_and_so_do_seeds(model):
    found = images(model, 2 * BLOCK)
    assert len(found.flatten(1).unique(dim=0)) == 2 * BLOCK
    assert not torch.equal(images(model, 2 * BLOCK, seed=2), found)


def test_torchs_own_generator_is_left_alone(model):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    images(model, 10)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("count, first", [(0, 0), (-1, 0), (5, -1)])
def test_no_images(model, count, first):
    with pytest.raises(UserError, match="expected at least 1 image, from image 0 or later"):
        next(generate(model, count, 1, first))


def test_a_classifier_draws_nothing(model):
    classifier = Trained(model.description, architecture.build("cnn_classifier", {}, (1, 28, 28), 10))
    with pytest.raises(UserError, match="draws no images; choose a generator"):
        next(generate(classifier, 5, 1))


def test_a_model_from_disk_draws_the_same(model, tmp_path):
    trained.save(tmp_path / "v", model.description, model.networks)
    assert torch.equal(images(trained.load(tmp_path / "v"), 120), images(model, 120))


CLASSES = 7  # no divisor of a block


class Telling(nn.Module):
    """Images (1, 2, 2) whose first pixel is the label (255 for none), the others the latent."""

    latent_size = 3
    latent_distribution = "normal"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        first = torch.full((len(z),), 255) if labels is None else labels
        return torch.cat((first[:, None] / 127.5 - 1, torch.tanh(z)), 1).view(-1, 1, 2, 2)


def telling(classes: int) -> Trained:
    names = tuple(map(str, range(CLASSES)))
    return Trained(
        Description("v", "gan", "telling", {}, (1, 2, 2), names, "mnist", "last", 0), {"generator": Telling(classes)}
    )


def labelled(first: int = 0, count: int = 250, label: int | None = None) -> tuple[list[int], torch.Tensor]:
    """The classes that images were drawn of, and the pixels that show their latents."""
    drawn = torch.cat(list(generate(telling(CLASSES), count, 1, first, label))).flatten(1)
    return drawn[:, 0].tolist(), drawn[:, 1:]


@pytest.mark.parametrize(("first", "count"), [(0, 250), (99, 5), (100, 1), (205, 20)])
def test_classes_come_in_turn(first, count):
    labels, _ = labelled(first, count)
    assert labels == [index % CLASSES for index in range(first, first + count)]


@pytest.mark.parametrize("label", [0, 3, 6])
def test_a_label_fixes_the_class_and_leaves_the_latents(label):
    labels, latents = labelled(label=label)
    assert labels == [label] * 250
    assert torch.equal(latents, labelled()[1])
    assert len(latents.unique(dim=0)) > 240
    assert torch.equal(labelled(first=130, count=20, label=label)[1], latents[130:150])


def test_the_same_latent_of_another_class_is_another_image():
    torch.manual_seed(1)
    networks = architecture.build("cgan", NETWORKS["cgan"], (1, 28, 28), 10)
    description = Description("v", "gan", "cgan", NETWORKS["cgan"], (1, 28, 28), tuple("0123456789"), "m", "last", 0)
    by_class = [torch.cat(list(generate(Trained(description, networks), 20, 1, label=label))) for label in range(10)]
    in_turn = torch.cat(list(generate(Trained(description, networks), 20, 1)))
    assert len(torch.cat(by_class).flatten(1).unique(dim=0)) == 200
    assert all(torch.equal(in_turn[index], by_class[index % 10][index]) for index in range(20))


@pytest.mark.parametrize("label", [-1, CLASSES, 100])
def test_a_class_that_is_not_there(label):
    with pytest.raises(UserError, match=rf"^v: class {label}; expected 0 to 6$"):
        next(generate(telling(CLASSES), 5, 1, label=label))


def test_a_class_for_a_model_that_is_told_none():
    with pytest.raises(UserError, match=r"^v: class 3 of a model that is told no classes; .* choose a conditional mo"):
        next(generate(telling(0), 5, 1, label=3))
    assert (next(generate(telling(0), 5, 1))[:, 0, 0, 0] == 255).all()


class Throwing(nn.Module):
    """Points that are the latents themselves."""

    latent_size = 2
    latent_distribution = "normal"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        return z.view(-1, 2, 1, 1)


def test_points_are_neither_rounded_nor_cut():
    description = Description("v", "gan", "throwing", {}, (2, 1, 1), ("0",), "ring", "last", 0)
    points = torch.cat(list(generate(Trained(description, {"generator": Throwing()}), 1000, 1)))
    assert points.dtype == torch.float32 and points.shape == (1000, 2, 1, 1)
    assert float(points.abs().max()) > 2 and len(points.flatten().unique()) > 1990
    assert float(points.std()) == pytest.approx(1, abs=5 / 2000**0.5)


@pytest.mark.parametrize("variational", [True, False])
def test_only_a_variational_autoencoder_draws_images(variational):
    network = {"layers": "fully_connected", "latent_size": 2, "width": 4, "variational": variational}
    networks = architecture.build("autoencoder", network, (1, 6, 6), 10)
    system = "vae" if variational else "autoencoder"
    model = Trained(Description("v", system, "autoencoder", network, (1, 6, 6), ("0",), "m", "last", 0), networks)
    if variational:
        assert next(generate(model, 5, 1)).shape == (5, 1, 6, 6)
    else:
        with pytest.raises(UserError, match=r"system autoencoder draws no images; choose a generator$"):
            next(generate(model, 5, 1))
