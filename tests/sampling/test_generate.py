"""Image i of a seed is a function of (seed, i) alone."""

import pytest
import torch

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
    "dcgan": {"latent_size": 8, "latent_distribution": "normal", "filters": 4, "init_std": 0.1},
}


@pytest.fixture(params=list(NETWORKS))
def model(request) -> Trained:
    torch.manual_seed(1)
    network = NETWORKS[request.param]
    networks = architecture.build(request.param, network, (1, 28, 28), 10)
    for net in networks.values():
        net.eval().requires_grad_(False)
    description = Description("v", "gan", request.param, network, (1, 28, 28), tuple("0123456789"), "mnist", "last", 0)
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
