"""The embedded digits: real handwriting in MNIST's shape, split fairly, the same on every machine."""

import hashlib

import numpy as np
import pytest

from reprogan.data import embedded


@pytest.fixture(scope="module")
def splits():
    train, test, sources = embedded.load()
    return {"train": train, "test": test}, sources


def test_every_digit_once(splits):
    from sklearn.datasets import load_digits

    arrays, _ = splits
    scans = load_digits()
    whole = {image.tobytes() for image in embedded.enlarge(scans.images.astype(np.uint8))}
    train, test = ({image.tobytes() for image in arrays[split].images} for split in ("train", "test"))
    assert train | test == whole and not train & test
    assert len(arrays["train"].labels) + len(arrays["test"].labels) == 1797


def test_one_in_six_of_every_class_is_for_testing(splits):
    arrays, _ = splits
    train, test = (np.bincount(arrays[split].labels, minlength=10) for split in ("train", "test"))
    assert np.abs(test - (train + test) / 6).max() <= 0.5
    # Not one writer's block at the end: the test digits come from everywhere.
    assert arrays["train"].images.shape[1:] == arrays["test"].images.shape[1:] == (1, 28, 28)


def test_labels_stay_with_their_images(splits):
    """A nearest neighbour among the training digits names the test digits."""
    arrays, _ = splits
    train, test = (arrays[split].images.reshape(-1, 784).astype(np.float32) for split in ("train", "test"))
    distances = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
    named = arrays["train"].labels[distances.argmin(1)]
    assert (named == arrays["test"].labels).mean() > 0.96


def test_a_margin_and_strokes_like_mnists(splits):
    """MNIST: 4 black pixels round a box of 20×20, 13 % inked, 9 % neither black nor white, strokes fully white."""
    images = splits[0]["train"].images[:, 0]
    border = np.ones((28, 28), dtype=bool)
    border[2:-2, 2:-2] = False
    assert images[:, border].max() == 0
    assert images[:, 4:24, 4:24].sum() > 0.99 * images.sum()
    assert 0.10 < (images > 127).mean() < 0.17
    assert ((images > 25) & (images < 230)).mean() < 0.13
    assert (images.max((1, 2)) > 250).mean() > 0.99


def test_enlarging_is_upright_and_in_scale():
    """One inked corner stays in its corner; a full scan fills the middle 20×20."""
    corner = np.zeros((1, 8, 8), np.uint8)
    corner[0, 0, 0:3] = 16
    enlarged = embedded.enlarge(corner)[0, 0]
    rows, columns = np.nonzero(enlarged > 127)
    assert (rows.min(), columns.min()) == (4, 4) and rows.max() < 8 and 10 <= columns.max() < 13
    full = embedded.enlarge(np.full((1, 8, 8), 16, np.uint8))[0, 0]
    rows, columns = np.nonzero(full > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 4, 23)


def test_the_same_bytes_everywhere(splits):
    """Another scikit-learn, another torch, another CPU: the digits must not change unnoticed."""
    arrays, sources = splits
    assert sources["sklearn.datasets.load_digits"] == "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"
    digest = hashlib.sha256(b"".join(arrays[split].images.tobytes() for split in ("train", "test"))).hexdigest()
    assert digest == "c077093851041f3450e6e1c44cad903818c55f1de442662104c3b05654c86745"
