"""The networks: the layers that the books and papers name, shapes and value ranges."""

import pytest
import torch
from torch import nn

from reprogan.errors import UserError
from reprogan.models import architecture

FULLY_CONNECTED = {
    "latent_size": 20,
    "latent_distribution": "uniform",
    "hidden": 100,
    "dropout": 0.5,
    "init_std": None,
}
DCGAN = {"latent_size": 100, "latent_distribution": "normal", "filters": 32, "init_std": 0.02}
GRAY = (1, 28, 28)


def described(network: nn.Module) -> list[str]:
    return [str(layer) for layer in network.modules() if not list(layer.children())]


def test_fully_connected_layers():
    networks = architecture.build("fully_connected", FULLY_CONNECTED, GRAY, 10)
    assert described(networks["generator"]) == [
        "Linear(in_features=20, out_features=100, bias=True)",
        "LeakyReLU(negative_slope=0.01)",
        "Linear(in_features=100, out_features=784, bias=True)",
        "Tanh()",
        "Unflatten(dim=1, unflattened_size=(1, 28, 28))",
    ]
    assert described(networks["discriminator"]) == [
        "Flatten(start_dim=1, end_dim=-1)",
        "Linear(in_features=784, out_features=100, bias=True)",
        "LeakyReLU(negative_slope=0.01)",
        "Dropout(p=0.5, inplace=False)",
        "Linear(in_features=100, out_features=1, bias=True)",
        "Flatten(start_dim=0, end_dim=-1)",
    ]


def test_dcgan_layers():
    """Transposed convolutions 4/1/0, 3/2/1, 4/2/1, 4/2/1 (kernel, stride, padding), mirrored: 4, 4, 3, 4."""
    networks = architecture.build("dcgan", DCGAN, GRAY, 10)
    up = [layer for layer in networks["generator"].modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(c.kernel_size[0], c.stride[0], c.padding[0]) for c in up] == [(4, 1, 0), (3, 2, 1), (4, 2, 1), (4, 2, 1)]
    assert [(c.in_channels, c.out_channels) for c in up] == [(100, 128), (128, 64), (64, 32), (32, 1)]
    down = [layer for layer in networks["discriminator"].modules() if isinstance(layer, nn.Conv2d)]
    assert [c.kernel_size[0] for c in down] == [4, 4, 3, 4]
    assert [(c.in_channels, c.out_channels) for c in down] == [(1, 32), (32, 64), (64, 128), (128, 1)]
    for network in networks.values():
        slopes = [layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)]
        assert slopes == [0.2] * 3
    norms = {name: sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) for name, network in networks.items()}
    assert norms == {"generator": 3, "discriminator": 2}


def test_cnn_classifier_layers():
    """Conv 5×5/2 of 10, conv 3×3/2 of 10, LeakyReLU(0.02) and BatchNorm after each, 250 features."""
    classifier = architecture.build("cnn_classifier", {}, GRAY, 10)["classifier"]
    assert [type(layer).__name__ for layer in classifier.features] == [
        *("Conv2d", "LeakyReLU", "BatchNorm2d") * 2,
        "Flatten",
    ]
    first, second = (layer for layer in classifier.features if isinstance(layer, nn.Conv2d))
    assert (first.kernel_size, first.stride, first.out_channels) == ((5, 5), (2, 2), 10)
    assert (second.kernel_size, second.stride, second.out_channels) == ((3, 3), (2, 2), 10)
    assert classifier.features[1].negative_slope == classifier.features[4].negative_slope == 0.02
    assert (classifier.head.in_features, classifier.head.out_features) == (250, 10)


@pytest.mark.parametrize("name, features", [("digit_features", 128), ("cnn_classifier", 250)])
def test_a_classifier_is_its_features_and_a_head(name, features):
    classifier = architecture.build(name, {}, GRAY, 7)["classifier"].eval()
    images = torch.rand(5, *GRAY) * 2 - 1
    assert classifier.features(images).shape == (5, features)
    assert classifier(images).shape == (5, 7)
    assert torch.equal(classifier(images), classifier.head(classifier.features(images)))
    if name == "digit_features":
        assert (classifier.features(images) >= 0).all()


@pytest.mark.parametrize("name, network", [("fully_connected", FULLY_CONNECTED), ("dcgan", DCGAN)])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28)])
def test_a_gan_makes_and_judges_images(name, network, shape):
    networks = architecture.build(name, network, shape, 10)
    images = networks["generator"](torch.randn(6, network["latent_size"]))
    assert images.shape == (6, *shape) and images.abs().max() <= 1
    assert networks["discriminator"](images).shape == (6,)
    assert networks["generator"].latent_size == network["latent_size"]


def test_initial_weights_with_a_standard_deviation():
    torch.manual_seed(1)
    networks = architecture.build("dcgan", DCGAN, GRAY, 10)
    for network in networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
                assert layer.bias is None or not layer.bias.any()
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.02) and not layer.bias.any()


@pytest.mark.parametrize("name", ["transformer", "trained", "__init__", "../config"])
def test_an_unknown_architecture(name):
    with pytest.raises(UserError, match=r"params.yaml: architecture: found .*; expected one of cnn_classifier, dcgan"):
        architecture.build(name, {}, GRAY, 10)
