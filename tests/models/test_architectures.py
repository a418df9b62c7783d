"""The networks: the layers that the books and papers name, shapes and value ranges."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.models.convolution import BatchNorm2d
from reprogan.models.normalisation import LayerNorm2d

FULLY_CONNECTED = {
    "latent_size": 20,
    "latent_distribution": "uniform",
    "hidden": 100,
    "dropout": 0.5,
    "init_std": None,
}
DCGAN = {
    "latent_size": 100,
    "latent_distribution": "normal",
    "filters": 32,
    "discriminator_norm": "batch",
    "condition": "none",
    "init_std": 0.02,
}
DCGAN64 = {
    "latent_size": 20,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "batch",
    "generator_spectral": False,
    "generator_attention": [],
    "discriminator_attention": [],
    "init_std": 0.02,
}
MULTILAYER = {"latent_size": 2, "latent_distribution": "normal", "hidden": 16, "layers": 2}
GRAY = (1, 28, 28)
NORMS = {"batch": BatchNorm2d, "instance": nn.InstanceNorm2d, "layer": LayerNorm2d}


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


def test_dcgan64_layers():
    """Radford et al. 2016, Figure 1: 4×4 kernels that double the side, half the channels at each."""
    networks = architecture.build("dcgan64", DCGAN64 | {"filters": 64}, (1, 64, 64), 10)
    up = [layer for layer in networks["generator"].modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [c.in_channels for c in up] == [20, 512, 256, 128, 64]
    assert [c.out_channels for c in up] == [512, 256, 128, 64, 1]
    assert [(c.kernel_size[0], c.stride[0], c.padding[0]) for c in up] == [(4, 1, 0)] + [(4, 2, 1)] * 4
    down = [layer for layer in networks["discriminator"].modules() if isinstance(layer, nn.Conv2d)]
    assert [c.in_channels for c in down] == [1, 64, 128, 256, 512]
    assert [c.out_channels for c in down] == [64, 128, 256, 512, 1]
    assert [(c.kernel_size[0], c.stride[0], c.padding[0]) for c in down] == [(4, 2, 1)] * 4 + [(4, 1, 0)]
    kinds = {name: [type(m).__name__ for m in network.layers] for name, network in networks.items()}
    assert kinds["generator"] == [
        "Unflatten",
        *("ConvTranspose2d", "BatchNorm2d", "ReLU") * 4,
        *("ConvTranspose2d", "Tanh"),
    ]
    assert kinds["discriminator"] == [
        *("Conv2d", "LeakyReLU"),
        *("Conv2d", "BatchNorm2d", "LeakyReLU") * 3,
        *("Conv2d", "Flatten"),
    ]
    slopes = [m.negative_slope for m in networks["discriminator"].modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


@pytest.mark.parametrize("name, block, side, count", [("dcgan", DCGAN, 28, 2), ("dcgan64", DCGAN64, 64, 3)])
@pytest.mark.parametrize("norm", [*NORMS, "spectral", "none"])
def test_the_norm_of_a_discriminator(name, block, side, count, norm):
    """After all convolutions but the first and last; those before a norm have no bias, which it would take away."""
    settings = block | {"discriminator_norm": norm, "filters": 4}
    discriminator = architecture.build(name, settings, (1, side, side), 10)["discriminator"]
    found = [type(m) for m in discriminator.modules() if isinstance(m, tuple(NORMS.values()))]
    assert found == ([NORMS[norm]] * count if norm in NORMS else [])
    strided = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == count + 1
    assert [is_parametrized(m, "weight") for m in strided] == [norm == "spectral"] * (count + 1)
    assert [m.bias is not None for m in strided] == [True] + [norm not in NORMS] * count
    assert discriminator(torch.rand(3, 1, side, side) * 2 - 1).shape == (3,)


def test_multilayer_layers():
    networks = architecture.build("multilayer", MULTILAYER, (2, 1, 1), 8)
    assert described(networks["generator"]) == [
        "Linear(in_features=2, out_features=16, bias=True)",
        "ReLU()",
        "Linear(in_features=16, out_features=16, bias=True)",
        "ReLU()",
        "Linear(in_features=16, out_features=2, bias=True)",
        "Unflatten(dim=1, unflattened_size=(2, 1, 1))",
    ]
    points = networks["generator"](100 * torch.randn(50, 2))
    assert points.shape == (50, 2, 1, 1) and points.abs().max() > 1
    linear = [m for m in networks["discriminator"].modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(2, 16), (16, 16), (16, 1)]
    assert networks["discriminator"](points).shape == (50,)


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


@pytest.mark.parametrize(
    "name, network, side", [("fully_connected", FULLY_CONNECTED, 28), ("dcgan", DCGAN, 28), ("dcgan64", DCGAN64, 64)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gan_makes_and_judges_images(name, network, side, channels):
    shape = (channels, side, side)
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


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_spectral_layers_begin_with_the_same_standard_deviation(norm):
    """The weight that is trained; what is divided by its singular value is another."""
    torch.manual_seed(1)
    discriminator = architecture.build("dcgan", DCGAN | {"discriminator_norm": norm}, GRAY, 10)["discriminator"]
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d):
            weight = layer.parametrizations.weight.original if norm == "spectral" else layer.weight
            assert weight.std().item() == pytest.approx(0.02, rel=0.15)


MISFITS = [
    ("dcgan", DCGAN, (1, 32, 32), "the images are 32×32; expected 28×28"),
    ("dcgan", DCGAN, (1, 28, 30), "the images are 28×30; expected 28×28"),
    (
        "dcgan64",
        DCGAN64,
        (1, 28, 28),
        "the images are 28×28; expected 64×64, or sides twice or four times that; set view.size to 64",
    ),
    ("multilayer", MULTILAYER, GRAY, r"of shape (1, 28, 28); expected points, (2, 1, 1)"),
]


@pytest.mark.parametrize("name, network, shape, says", MISFITS)
def test_images_of_another_size_are_one_line(name, network, shape, says):
    with pytest.raises(UserError) as error:
        architecture.build(name, network, shape, 10)
    assert f"architecture {name}: " in str(error.value) and says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["transformer", "trained", "__init__", "../config"])
def test_an_unknown_architecture(name):
    with pytest.raises(
        UserError, match=r"params.yaml: architecture: found .*; expected one of .*\bdcgan, dcgan128, dcgan64\b"
    ):
        architecture.build(name, {}, GRAY, 10)
