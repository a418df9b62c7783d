"""Networks that are told labels: where they go in, and that they change what comes out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from reprogan.models import architecture

CGAN = {"latent_size": 6, "latent_distribution": "normal", "hidden": 12, "init_std": None}
DCGAN = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "none",
    "condition": "concatenation",
    "init_std": None,
}
NETWORKS = {
    "cgan": ("cgan", CGAN),
    "concatenation": ("dcgan", DCGAN),
    "projection": ("dcgan", DCGAN | {"condition": "projection"}),
}
CLASSES = 10


def built(kind: str, **changes: object) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    name, block = NETWORKS[kind]
    return architecture.build(name, block | changes, (1, 28, 28), CLASSES)


@pytest.mark.parametrize("kind", NETWORKS)
def test_labels_change_what_is_made_and_how_it_is_judged(kind):
    networks = built(kind)
    generator, discriminator = (networks[name].eval() for name in ("generator", "discriminator"))
    assert generator.classes == discriminator.classes == CLASSES
    z = torch.randn(1, 6).expand(CLASSES, 6)
    labels = torch.arange(CLASSES)
    images = generator(z, labels)
    assert images.shape == (CLASSES, 1, 28, 28) and images.abs().max() <= 1
    assert torch.pdist(images.flatten(1)).min() > 1e-3
    logits = discriminator(images[:1].expand_as(images), labels)
    assert logits.shape == (CLASSES,) and len(logits.unique()) == CLASSES


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_image_has_its_own_label(kind):
    networks = built(kind)
    z, labels = torch.randn(4, 6), torch.tensor([7, 0, 7, 3])
    for network, inputs in ((networks["generator"].eval(), z), (networks["discriminator"].eval(), None)):
        inputs = networks["generator"](z, labels).detach() if inputs is None else inputs
        together = network(inputs, labels)
        for index in range(4):
            torch.testing.assert_close(
                together[index], network(inputs[index : index + 1], labels[index : index + 1])[0]
            )


def test_cgan_labels_join_as_one_hot_vectors():
    networks = built("cgan")
    seen: list[Tensor] = []
    for network in networks.values():
        network.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    z, labels = torch.randn(2, 6), torch.tensor([3, 0])
    images = networks["generator"](z, labels)
    networks["discriminator"](images, labels)
    one_hot = torch.zeros(2, CLASSES)
    one_hot[0, 3] = one_hot[1, 0] = 1
    assert torch.equal(seen[0], torch.cat((z, one_hot), 1))
    assert torch.equal(seen[1], torch.cat((images.view(2, 784), one_hot), 1))


def test_cgan_layers():
    """One hidden layer, LeakyReLU(0.02) and LayerNorm in each network, tanh at the end of the generator."""
    networks = built("cgan")
    assert [str(layer).split("(")[0] for layer in networks["generator"].layers] == [
        "Linear", "LeakyReLU", "LayerNorm", "Linear", "Tanh", "Unflatten",
    ]  # fmt: skip
    assert [str(layer).split("(")[0] for layer in networks["discriminator"].layers] == [
        "Linear", "LeakyReLU", "LayerNorm", "Linear", "Flatten",
    ]  # fmt: skip
    sizes = {
        name: [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
        for name, network in networks.items()
    }
    assert sizes == {"generator": [(16, 12), (12, 784)], "discriminator": [(794, 12), (12, 1)]}
    slopes = [m.negative_slope for n in networks.values() for m in n.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.02, 0.02]


def test_dcgan_concatenation_is_a_channel_a_class_and_a_second_latent():
    networks = built("concatenation")
    generator, discriminator = networks["generator"].eval(), networks["discriminator"].eval()
    z, labels = torch.randn(2, 6), torch.tensor([3, 9])
    images = generator(z, labels)
    torch.testing.assert_close(images, generator.layers(torch.cat((z, generator.embedding.weight[labels]), 1)))
    maps = torch.zeros(2, 10, 28, 28)
    for row, label in enumerate(labels.tolist()):
        maps[row, label] = 1
    expected = discriminator.head(discriminator.features(torch.cat((images, maps), 1)))
    torch.testing.assert_close(discriminator(images, labels), expected)
    assert discriminator.features[0].in_channels == 1 + 10


def test_dcgan_projection_is_an_inner_product_with_the_last_features():
    """Miyato and Koyama 2018, Equation 4: ψ(φ(x)) + y' V φ(x)."""
    discriminator = built("projection")["discriminator"].eval().requires_grad_(False)
    images, labels = torch.rand(3, 1, 28, 28) * 2 - 1, torch.tensor([3, 9, 3])
    found = discriminator(images, labels)
    for index, label in enumerate(labels.tolist()):
        features = discriminator.features(images[index : index + 1])
        total = sum(
            float(discriminator.projection.weight[channel, label]) * float(features[0, channel].sum())
            for channel in range(16)
        )
        assert found[index].item() == pytest.approx(float(discriminator.head(features)[0]) + total, rel=1e-4, abs=1e-5)
    assert discriminator.features[0].in_channels == 1


def test_dcgan_without_a_condition_is_told_nothing():
    networks = built("concatenation", condition="none")
    assert networks["generator"].classes == networks["discriminator"].classes == 0
    assert not any("embedding" in name or "projection" in name for n in networks.values() for name in n.state_dict())


def test_dcgan_with_spectral_norm_is_judged_by_normalised_convolutions():
    discriminator = built("projection", discriminator_norm="spectral")["discriminator"]
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 4 and all(is_parametrized(m, "weight") for m in convolutions)
