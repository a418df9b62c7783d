"""Where latents and labels come from."""

import torch
from torch import nn

from reprogan.models.latents import classes_of, draw_labels, draw_latents, labels_in_turn, told


def latents(distribution: str, seed: int = 1) -> torch.Tensor:
    network = nn.Identity()
    network.latent_size, network.latent_distribution = 50, distribution
    return draw_latents(network, 2000, torch.Generator().manual_seed(seed))


def test_uniform_fills_minus_one_to_one():
    z = latents("uniform")
    assert z.shape == (2000, 50) and z.dtype == torch.float32
    assert z.min() >= -1 and z.max() < 1 and z.min() < -0.999 and z.max() > 0.999
    assert abs(z.mean()) < 0.01 and abs(z.std() - 3**-0.5) < 0.01


def test_normal_has_mean_0_and_deviation_1():
    z = latents("normal")
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and z.max() > 3


def test_the_source_alone_decides():
    assert torch.equal(latents("normal"), latents("normal"))
    assert not torch.equal(latents("normal"), latents("normal", 2))


def conditional(classes: int) -> nn.Module:
    network = nn.Identity()
    network.classes = classes
    return network


def test_labels_are_of_every_class_as_often():
    labels = draw_labels(conditional(7), 7000, torch.Generator().manual_seed(1))
    assert labels.dtype == torch.int64 and labels.shape == (7000,)
    counts = labels.bincount()
    assert len(counts) == 7 and counts.min() > 880 and counts.max() < 1120
    assert torch.equal(labels, draw_labels(conditional(7), 7000, torch.Generator().manual_seed(1)))


def test_labels_in_turn_go_on_where_they_stopped():
    cpu = torch.device("cpu")
    assert labels_in_turn(conditional(3), 0, 4, cpu).tolist() == [0, 1, 2, 0]
    assert labels_in_turn(conditional(3), 4, 4, cpu).tolist() == [1, 2, 0, 1]


def test_a_network_without_classes_is_told_nothing():
    for network in (nn.Identity(), conditional(0)):
        assert classes_of(network) == 0
        assert draw_labels(network, 5, torch.Generator()) is None
        assert labels_in_turn(network, 0, 5, torch.device("cpu")) is None
    assert told(nn.Identity(), torch.ones(2), None).tolist() == [1, 1]
    assert told(nn.Bilinear(1, 1, 1), torch.ones(2, 1), torch.ones(2, 1)).shape == (2, 1)
