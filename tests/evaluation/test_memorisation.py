"""Copies of training images are found, and are told from samples that are as near as held-out images."""

import pytest
import torch
from torch import Tensor

from reprogan.evaluation.memorisation import find_copies, memorised
from reprogan.evaluation.neighbours import nearest, on_sphere


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return on_sphere(torch.randn(count, 16, generator=generator).relu())


TRAIN, HELD_OUT = images(800, 1), nearest(images(400, 2), images(800, 1))[0]


def test_a_generator_as_good_as_the_data_memorises_nothing():
    found = memorised(find_copies(images(400, 3), TRAIN), HELD_OUT)
    assert found["memorised_share"] < 0.02 and found["nearer_than_half"] == pytest.approx(0.5, abs=0.08)


def test_copies_are_memorised_and_shown_first():
    fakes = torch.cat((images(300, 3), TRAIN[[7, 9]], TRAIN[11:12] + 1e-4))
    copies = find_copies(fakes, TRAIN)
    assert copies.closest(3) == [(300, 7), (301, 9), (302, 11)]
    assert memorised(copies, HELD_OUT)["memorised_share"] == pytest.approx(3 / 303, abs=0.02)


def test_one_training_image_again_and_again():
    found = memorised(find_copies(TRAIN[5:6].expand(200, -1), TRAIN), HELD_OUT)
    assert found == {"memorised_share": 1.0, "nearer_than_half": 1.0}


def test_held_out_images_that_are_training_images_are_no_measure():
    copies = find_copies(TRAIN[:50], TRAIN)
    both = torch.cat((HELD_OUT, torch.zeros(3, dtype=torch.float64)))
    assert memorised(copies, both) == memorised(copies, HELD_OUT) == {"memorised_share": 1.0, "nearer_than_half": 1.0}
    assert memorised(copies, torch.zeros(3, dtype=torch.float64)) == {}


def test_far_from_everything_is_no_copy():
    found = memorised(find_copies(-images(100, 3), TRAIN), HELD_OUT)
    assert found == {"memorised_share": 0.0, "nearer_than_half": 0.0}
