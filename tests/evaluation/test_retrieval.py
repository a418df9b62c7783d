"""Retrieval by loops: the own caption among others that read differently; and what a caption names."""

import numpy as np
import pytest
import torch
from torch import Tensor

from reprogan.evaluation.retrieval import AMONG, named_scores, retrieval_accuracy

ATTRIBUTES = {"colour": ("red", "green", "blue"), "size": ("small", "large")}


def normal(rows: int, size: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))


def numbered(rows: int) -> Tensor:
    """Captions that all read differently."""
    return torch.arange(1, rows + 1)[:, None]


def cosines(image: Tensor, captions: Tensor) -> list[float]:
    a = image.double().numpy()
    return [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for b in captions.double().numpy()]


def share_nearest_of_all(images: Tensor, own: list[int], captions: Tensor) -> float:
    """How often an image's own caption is the nearest of all there are."""
    right = 0
    for image, row in zip(images, own, strict=True):
        similar = cosines(image, captions)
        right += all(similar[row] > value for other, value in enumerate(similar) if other != row)
    return right / len(own)


@pytest.mark.parametrize("texts", [1, 2, 5, 10])
def test_among_all_captions_where_there_are_ten_or_fewer(texts):
    captions = normal(texts)
    own = [index % texts for index in range(80)]
    images = captions[own] + 1.5 * normal(80, seed=2)
    found = retrieval_accuracy(images, torch.tensor(own), captions, numbered(texts), seed=1)
    assert found == share_nearest_of_all(images, own, captions)
    assert found == 1 if texts == 1 else 0.2 < found < 1


def test_an_image_near_its_own_caption_is_found():
    captions = normal(200, 40)
    rows = torch.arange(200)
    assert retrieval_accuracy(captions + 0.01 * normal(200, 40, 2), rows, captions, numbered(200), 1) == 1
    assert retrieval_accuracy(7 * captions, rows, captions / 3, numbered(200), 1) == 1
    assert retrieval_accuracy(-captions, rows, captions, numbered(200), 1) == 0


def test_blind_features_find_one_in_ten():
    count = 40_000
    rows = torch.arange(count) % 50
    found = retrieval_accuracy(normal(count), rows, normal(50, seed=2), numbered(50), 1)
    assert AMONG == 10 and found == pytest.approx(0.1, abs=3 * (0.1 * 0.9 / count) ** 0.5)


def test_features_that_are_all_the_same_find_nothing():
    """Of equally near captions none is the nearest."""
    alike = torch.ones(50, 6)
    assert retrieval_accuracy(alike, torch.arange(50), alike, numbered(50), 1) == 0
    halves = normal(2)[[0] * 25 + [1] * 25]
    assert retrieval_accuracy(halves, torch.arange(50), halves, numbered(50), 1) < 0.05


def test_captions_that_read_alike_are_not_told_apart():
    """Twenty texts, each three times over: the other captions of a text are no wrong answers."""
    texts, numbers = normal(20, 40), torch.randperm(20, generator=torch.Generator().manual_seed(3)) + 1
    captions, tokens = texts.repeat(3, 1), numbers[:, None].repeat(3, 2)
    rows = torch.arange(60)
    assert retrieval_accuracy(captions, rows, captions, tokens, 1) == 1
    assert retrieval_accuracy(captions, rows, captions, numbered(60), 1) < 1  # as if they read differently


def test_an_image_is_compared_with_its_own_row_not_with_another_of_its_text():
    """Captions that read alike may have been given features of their own."""
    captions, tokens = torch.eye(4), torch.tensor([[1], [2], [1], [3]])
    own = torch.tensor([2, 0])
    assert retrieval_accuracy(torch.eye(4)[[2, 2]], own, captions, tokens, 1) == 0.5


def test_nine_others_are_drawn_from_the_seed():
    images, captions = normal(300), normal(100, seed=2)
    rows = torch.arange(300) % 100
    found = [retrieval_accuracy(images, rows, captions, numbered(100), seed) for seed in range(1, 6)]
    assert found[0] == retrieval_accuracy(images, rows, captions, numbered(100), 1) and len(set(found)) > 1
    hardest = share_nearest_of_all(images, rows.tolist(), captions)
    assert min(found) >= hardest


def test_each_image_meets_nine_of_the_others():
    """One caption is nearer to every image than its own: of eleven others it is among nine in nine of eleven cases."""
    captions = torch.eye(12)
    images = captions[1:].repeat(300, 1) + 2 * captions[0]
    rows = torch.arange(1, 12).repeat(300)
    assert share_nearest_of_all(images[:11], rows[:11].tolist(), captions) == 0
    missed = 1 - retrieval_accuracy(images, rows, captions, numbered(12), 1)
    assert missed == pytest.approx(9 / 11, abs=4 * (9 / 11 * 2 / 11 / len(rows)) ** 0.5)


# ---- what a caption names -----------------------------------------------------------------------------------------


def test_named_scores_by_hand():
    """The colour is named of four images and read rightly in three; the size of two, and of one."""
    read = torch.tensor([[0, 0], [1, 1], [2, 0], [2, 1], [0, 0], [1, 1]])
    truth = torch.tensor([[0, 0], [1, 0], [0, 0], [2, 1], [1, 1], [2, 0]])
    named = torch.tensor([[1, 0], [1, 0], [1, 1], [1, 1], [0, 0], [0, 0]])
    found = named_scores(read, truth, named, ATTRIBUTES)
    # Read red, green, blue: 1, 1, 2 times; true 2, 1, 1 times.
    assert found["colour"] == {"accuracy": 0.75, "chance": (1 * 2 + 1 * 1 + 2 * 1) / 16, "count": 4}
    assert found["size"] == {"accuracy": 1.0, "chance": (1 * 1 + 1 * 1) / 4, "count": 2}
    assert list(found) == ["colour", "size"]


def test_what_no_caption_names_is_left_out():
    codes = torch.zeros(3, 2, dtype=torch.int64)
    found = named_scores(codes, codes, torch.tensor([[0, 1], [0, 1], [0, 0]]), ATTRIBUTES)
    assert found == {"size": {"accuracy": 1.0, "chance": 1.0, "count": 2}}


def test_chance_is_what_pairs_put_together_blindly_have():
    source = np.random.default_rng(1)
    read, truth = source.integers(0, 3, 400), source.choice(3, 400, p=[0.7, 0.2, 0.1])
    truth[:200] = read[:200]
    columns = torch.from_numpy(np.stack([read, truth]))[:, :, None]
    found = named_scores(columns[0], columns[1], torch.ones(400, 1), {"colour": ATTRIBUTES["colour"]})["colour"]
    every = [a == b for a in read.tolist() for b in truth.tolist()]
    assert found["chance"] == pytest.approx(sum(every) / len(every)) and found["accuracy"] > found["chance"] + 0.2
