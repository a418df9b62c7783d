"""What a variant sees: images enlarged and reduced by the formulas, chosen classes, and one line for each mistake."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from reprogan.config import View
from reprogan.data import hdf5
from reprogan.data.batches import to_uint8
from reprogan.data.view import choose, enlarge, image_shape, reduce
from reprogan.errors import UserError

CLASSES = ("cat", "dog", "emu", "fox")
COUNTS = (30, 20, 40, 0)


def view(size: int | None = None, classes: tuple[str, ...] | None = None, per_class: int | None = None) -> View:
    return View(size=size, classes=classes, per_class=per_class)


def description(shape: tuple[int, int, int] = (1, 28, 28)) -> hdf5.Description:
    return hdf5.Description("animals", CLASSES, {}, shape, {"train": 90, "test": 90})


@pytest.fixture
def arrays() -> hdf5.Arrays:
    """Classes mixed; the one pixel of an image is its own number."""
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(4), COUNTS)).astype(np.int64)
    return hdf5.Arrays(np.arange(90, dtype=np.uint8).reshape(90, 1, 1, 1), labels)


def numbers(found: hdf5.Arrays) -> list[int]:
    return found.images.flatten().tolist()


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_28_becomes_64_with_margins_of_2_then_bilinear():
    images = random_images(3, 1, 28, 28)
    padded = functional.pad(images.double(), (2, 2, 2, 2), value=-1.0)
    expected = functional.interpolate(padded, (64, 64), mode="bilinear", align_corners=False)
    found = enlarge(images, 64)
    assert found.dtype == torch.float32 and found.shape == (3, 1, 64, 64)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


def test_the_corner_by_hand():
    a, b, c, d = 0.5, -0.25, 0.75, -1.0
    images = torch.tensor([[a, b], [c, d]]).view(1, 1, 2, 2)
    (found,) = enlarge(images, 4)[0]
    assert found[0].tolist() == pytest.approx([a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, b])
    assert float(found[1, 1]) == pytest.approx((9 * a + 3 * b + 3 * c + d) / 16)
    assert float(found[3, 3]) == d


def test_an_odd_margin_has_its_larger_half_below_and_right():
    found = enlarge(torch.ones(1, 1, 3, 2), 4)[0, 0]
    expected = torch.full((4, 4), -1.0)
    expected[:3, 1:3] = 1.0
    assert torch.equal(found, expected)
    assert torch.equal(reduce(to_uint8(found[None, None]), 3, 2), torch.full((1, 1, 3, 2), 255, dtype=torch.uint8))


def test_without_a_size_images_are_as_they_are():
    images = random_images(2, 3, 5, 4)
    assert torch.equal(enlarge(images, None), images)
    whole = to_uint8(images)
    assert torch.equal(reduce(whole, 5, 4), whole)


def test_there_and_back_is_a_narrow_blur_of_the_padded_image():
    """Bilinear twice as large, then means of 2×2: weights 1/8, 3/4, 1/8 along each side."""
    images = random_images(4, 1, 28, 28)
    pixels = np.pad((images.double().numpy()[:, 0] + 1) * 127.5, ((0, 0), (3, 3), (3, 3)))
    for axis in (1, 2):
        pixels = np.apply_along_axis(lambda line: np.convolve(line, [1 / 8, 3 / 4, 1 / 8], "same"), axis, pixels)
    found = reduce(to_uint8(enlarge(images, 64)), 28, 28).numpy()[:, 0]
    assert np.abs(found - pixels[:, 3:31, 3:31]).max() <= 1.01  # rounded twice


@pytest.mark.parametrize(("side", "size"), [(14, 28), (10, 30), (28, 28)])
@pytest.mark.parametrize("shade", [0, 77, 200, 255])
def test_constant_images_come_back_exactly(side, size, shade):
    images = torch.full((2, 3, side, side), shade / 127.5 - 1)
    expected = torch.full((2, 3, side, side), shade, dtype=torch.uint8)
    assert torch.equal(reduce(to_uint8(enlarge(images, size)), side, side), expected)


def test_inside_black_margins_a_constant_image_comes_back_exactly():
    found = reduce(to_uint8(enlarge(torch.full((1, 1, 28, 28), 0.5), 64)), 28, 28)
    assert (found[0, 0, 1:-1, 1:-1] == 191).all() and (found[0, 0, 0, 1:-1] < 191).all()


def test_means_of_areas_by_hand():
    large = torch.tensor([[10, 20, 0, 0], [30, 40, 0, 255], [7, 7, 1, 2], [7, 7, 2, 3]], dtype=torch.uint8)
    found = reduce(large.view(1, 1, 4, 4), 2, 2)
    assert found.dtype == torch.uint8 and found.flatten().tolist() == [25, 64, 7, 2]


def test_reducing_cuts_the_margins_off():
    large = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    large[..., 4:60, 4:60] = 100
    large[..., 4:6, 4:6] = 8
    found = reduce(large, 28, 28)[0, 0]
    assert found.shape == (28, 28) and found[0, 0] == 8 and (found.flatten()[1:] == 100).all()


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((1, 28, 28), None, (1, 28, 28)),
        ((1, 28, 28), 64, (1, 64, 64)),
        ((1, 28, 28), 28, (1, 28, 28)),
        ((3, 20, 28), 84, (3, 84, 84)),
    ],
)
def test_the_shape_that_is_seen(shape, size, expected):
    assert image_shape(description(shape), view(size), "here: ") == expected
    assert enlarge(torch.zeros(1, *shape), size).shape[1:] == expected


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (27, "here: view.size is 27; the images are 28×28; expected 28 or more"),
        (65, "here: view.size is 65; the images are 28×28; expected a multiple of 2"),
    ],
)
def test_a_size_that_does_not_fit(size, says):
    with pytest.raises(UserError) as error:
        image_shape(description(), view(size), "here: ")
    assert str(error.value) == says


def test_all_is_seen_unless_the_view_says_otherwise(arrays):
    found = choose(arrays, description(), view(), "", limit=True)
    assert numbers(found) == list(range(90)) and (found.labels == arrays.labels).all()


@pytest.mark.parametrize("names", [("emu", "cat"), ("dog",), ("cat", "dog", "emu"), ("dog", "dog")])
@pytest.mark.parametrize("limit", [True, False])
def test_exactly_the_named_classes_and_their_numbers_stay(arrays, names, limit):
    found = choose(arrays, description(), view(classes=names), "", limit)
    expected = [number for number, label in enumerate(arrays.labels) if CLASSES[label] in names]
    assert sorted(numbers(found)) == expected
    assert (arrays.labels[numbers(found)] == found.labels).all()


def test_so_many_of_each_class_by_a_fixed_permutation(arrays):
    chosen = view(classes=("cat", "dog", "emu"), per_class=12)
    found = choose(arrays, description(), chosen, "", limit=True)
    assert np.bincount(found.labels).tolist() == [12, 12, 12] and len(set(numbers(found))) == 36
    assert (arrays.labels[numbers(found)] == found.labels).all()
    for label in range(3):
        mine = sorted(number for number in numbers(found) if arrays.labels[number] == label)
        members = np.flatnonzero(arrays.labels == label).tolist()
        assert mine not in (members[:12], members[-12:])
    torch.rand(3)
    np.random.rand(3)
    assert numbers(choose(arrays, description(), chosen, "", limit=True)) == numbers(found)


def test_which_images_of_a_class_are_seen_hangs_on_the_class_alone(arrays):
    both = choose(arrays, description(), view(classes=("cat", "emu"), per_class=5), "", limit=True)
    alone = choose(arrays, description(), view(classes=("emu",), per_class=5), "", limit=True)
    assert numbers(alone) == [number for number in numbers(both) if arrays.labels[number] == 2]


def test_held_out_images_are_not_limited(arrays):
    found = choose(arrays, description(), view(classes=("dog",), per_class=3), "", limit=False)
    assert len(found.labels) == 20


def test_more_of_each_class_than_there_are_is_all_of_them(arrays):
    found = choose(arrays, description(), view(classes=("cat", "dog"), per_class=25), "", limit=True)
    assert np.bincount(found.labels).tolist() == [25, 20]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (
            view(classes=("dog", "gnu")),
            "here: view.classes: found 'gnu'; expected classes of animals: cat, dog, emu, fox",
        ),
        (view(classes=("fox",)), "here: view.classes: animals has no images of class 'fox'; choose others"),
        (view(per_class=2), "here: view.classes: animals has no images of class 'fox'; choose others"),
    ],
)
def test_classes_that_cannot_be_seen(arrays, chosen, says):
    with pytest.raises(UserError) as error:
        choose(arrays, description(), chosen, "here: ", limit=True)
    assert str(error.value) == says
