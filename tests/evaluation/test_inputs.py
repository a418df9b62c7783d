"""Samples that are smaller or larger than the data: which are taken, and how they come to its size."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from reprogan.errors import UserError
from reprogan.evaluation.inputs import at_size, open_file, open_samples


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


def write(folder: Path, images: np.ndarray) -> Path:
    path = folder / "draws/samples.h5"
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"] = images
    return path


# ---- which are taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, size, found",
    [
        ((3, 24, 24), None, (3, 24, 24)),
        ((3, 24, 24), None, (3, 12, 12)),
        ((3, 24, 24), None, (3, 8, 8)),
        ((1, 24, 36), None, (1, 12, 18)),
        ((1, 28, 28), 64, (1, 64, 64)),
    ],
)
def test_samples_as_large_as_the_data_or_a_whole_number_smaller(tmp_path, shape, size, found):
    images = noise(5, *found).numpy()
    with open_samples(write(tmp_path, images), shape, size) as file:
        assert np.array_equal(file["images"][()], images)


@pytest.mark.parametrize(
    "shape, size, found",
    [
        ((3, 24, 24), None, (3, 48, 48)),
        ((3, 24, 24), None, (3, 10, 10)),
        ((3, 24, 24), None, (3, 12, 24)),
        ((3, 24, 24), None, (1, 12, 12)),
        ((1, 28, 28), 64, (1, 32, 32)),
        ((1, 28, 28), 64, (1, 28, 28)),
    ],
    ids=["larger", "no whole number", "two numbers", "channels", "half of the size", "not enlarged"],
)
def test_samples_of_any_other_shape_are_refused(tmp_path, shape, size, found):
    path = write(tmp_path, noise(5, *found).numpy())
    expected = shape if size is None else (shape[0], size, size)
    with pytest.raises(UserError) as error, open_samples(path, shape, size):
        pass
    assert str(error.value) == (
        f"{path}: images are uint8 {(5, *found)}; expected uint8 (N, {', '.join(map(str, expected))}) as in the data; "
        "run `dvc repro -f sample@draws`"
    )


def test_points_are_asked_for_as_they_are(tmp_path):
    path = write(tmp_path, np.zeros((4, 2, 1, 1), np.float32))
    with open_samples(path, (2, 1, 1), dtype="float32") as file:
        assert file["images"].shape == (4, 2, 1, 1)
    with (
        pytest.raises(UserError, match=r"images are float32 \(4, 2, 1, 1\); expected uint8"),
        open_samples(path, (2, 1, 1)),
    ):
        pass


def test_a_group_is_no_images(tmp_path):
    path = write(tmp_path, np.zeros(1))
    with h5py.File(path, "w") as file:
        file.create_group("images")
    with pytest.raises(UserError, match="images are a group; expected uint8"), open_samples(path, (1, 8, 8)):
        pass


def test_a_file_is_closed_again(tmp_path):
    with open_file(write(tmp_path, np.zeros((1, 1, 8, 8), np.uint8)), "images") as file:
        assert file
    assert not file


# ---- how they come to its size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(12, 12), (12, 16), (16, 12)])
def test_images_of_the_datas_size_stay_as_they_are(height, width):
    images = noise(3, 3, height, width)
    assert torch.equal(at_size(images, height, width), images)


@pytest.mark.parametrize("by", [2, 3])
def test_larger_images_come_down_by_means_over_squares(by):
    large = noise(3, 1, 8 * by, 8 * by)
    found = at_size(large, 8, 8)
    for index in np.ndindex(3, 8, 8):
        image, row, column = index
        square = large[image, 0, by * row : by * (row + 1), by * column : by * (column + 1)].double()
        assert abs(float(found[image, 0, row, column]) - float(square.mean())) <= 0.5 + 1e-4
    assert found.dtype == torch.uint8 and found.shape == (3, 1, 8, 8)


@pytest.mark.parametrize("by", [2, 3, 4])
def test_smaller_images_are_enlarged_bilinearly(by):
    small = noise(3, 3, 8, 8)
    found = at_size(small, 8 * by, 8 * by)
    expected = interpolate(small.double(), (8 * by, 8 * by), mode="bilinear", align_corners=False)
    assert found.dtype == torch.uint8 and found.shape == expected.shape
    assert (found.double() - expected).abs().max() <= 0.5 + 1e-3
