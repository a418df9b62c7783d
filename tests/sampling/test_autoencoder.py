"""The picture of codes: their two principal axes as scikit-learn finds them, one number on a line."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from reprogan.sampling.autoencoder import Reconstructed, latent_scatter
from reprogan.sampling.pictures import scatter

LABELS = torch.arange(60) % 10


def made(codes: torch.Tensor) -> Reconstructed:
    images = torch.zeros(len(codes), 1, 2, 2, dtype=torch.uint8)
    return Reconstructed(images, LABELS, images, codes, None, None)


def pixels(picture) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_codes_are_shown_on_their_principal_axes():
    random = np.random.default_rng(1)
    codes = random.normal(size=(60, 5)) * [0.1, 3, 0.2, 1, 0.1] @ np.linalg.qr(random.normal(size=(5, 5)))[0] + 7
    pca = PCA(2).fit(codes)
    largest = pca.components_[[0, 1], np.abs(pca.components_).argmax(1)]
    plane = pca.transform(codes) * np.sign(largest)
    expected = scatter(torch.from_numpy(plane / np.abs(plane).max()), LABELS)
    found = latent_scatter(made(torch.from_numpy(codes).float()))
    assert (pixels(found) != pixels(expected)).any(2).mean() < 1e-3  # a dot may round to the next pixel


def test_codes_of_one_number_are_on_a_line():
    found = pixels(latent_scatter(made(torch.linspace(-3, 1, 60)[:, None])))
    rows, columns = np.nonzero((found != 255).any(2))
    assert set(rows.tolist()) <= {238, 239, 240, 241} and columns.max() - columns.min() > 400


@pytest.mark.parametrize("size", [1, 2, 4])
def test_codes_that_are_all_alike_are_one_dot(size):
    found = pixels(latent_scatter(made(torch.zeros(60, size))))
    rows, columns = np.nonzero((found != 255).any(2))
    assert len(rows) == 9 and abs(rows.mean() - 240) <= 1 and abs(columns.mean() - 240) <= 1
