"""What the parameters ask for is what the container holds: MNIST, a set in its format, the embedded digits."""

import numpy as np
import pytest

from reprogan import config
from reprogan.data import digits, hdf5
from reprogan.errors import UserError


def choose(source: str, sets: dict) -> config.Digits:
    return config.parse(config.Digits, {"source": source, "sets": sets}, "params.yaml: digits.")


@pytest.mark.parametrize(("size", "classes"), [(28, ("T-shirt/top", "Bag")), (32, ("お", "き")), (8, ("a",))])
def test_another_set_by_parameters_alone(make_set, tmp_path, size, classes):
    small = make_set(size, classes)
    folder = small.write(tmp_path / "mirror")
    out = tmp_path / "digits.h5"
    found = digits.prepare(choose("fashion", {"fashion": small.block([str(folder)])}), out, tmp_path / "raw", {})
    assert found == hdf5.describe(out)
    assert (found.name, found.classes, found.image_shape) == ("fashion", classes, (1, size, size))
    assert found.counts == {"train": 12, "test": 6}
    files = small.block([])["files"].values()
    assert found.sources == {file["name"]: file["sha256"] for file in files}
    for split in hdf5.SPLITS:
        arrays = hdf5.read(out, split)
        np.testing.assert_array_equal(arrays.images[:, 0], small.arrays[f"{split}_images"])
        np.testing.assert_array_equal(arrays.labels, small.arrays[f"{split}_labels"])


def damage_counts(small):
    small.arrays["train_labels"] = small.arrays["train_labels"][:-1]


def damage_label(small):
    small.arrays["test_labels"][4] = 3


def damage_size(small):
    small.arrays["test_images"] = small.arrays["test_images"][:, 1:]


def damage_kind(small):
    small.arrays["test_images"] = small.arrays["test_images"].reshape(-1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_counts, "train-labels-idx1-ubyte.gz: 11 labels for the 12 images"),
        (damage_label, "t10k-labels-idx1-ubyte.gz: label 3 of image 4; expected 0 to 2"),
        (damage_size, "t10k-images-idx3-ubyte.gz: images of 27×28"),
        (damage_kind, "t10k-images-idx3-ubyte.gz: IDX magic"),
    ],
)
def test_files_that_do_not_go_together(make_set, tmp_path, damage, said):
    small = make_set()
    damage(small)
    chosen = choose("small", {"small": small.block([str(small.write(tmp_path / "mirror"))])})
    out = tmp_path / "processed" / "digits.h5"
    with pytest.raises(UserError) as refused:
        digits.prepare(chosen, out, tmp_path / "raw", {})
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert not out.parent.exists()


def test_a_failure_leaves_the_data_that_was_there(make_set, tmp_path, nobody):
    small = make_set()
    out = tmp_path / "digits.h5"
    folder = small.write(tmp_path / "mirror")
    digits.prepare(choose("small", {"small": small.block([str(folder)])}), out, tmp_path / "raw", {})
    before = out.read_bytes()
    with pytest.raises(UserError):
        digits.prepare(choose("other", {"other": small.block(["/no/folder"])}), out, tmp_path / "raw", {})
    assert out.read_bytes() == before


def test_the_embedded_digits_need_no_network(tmp_path, make_set):
    out = tmp_path / "digits.h5"
    chosen = choose("embedded", {"small": make_set().block(["/no/folder"])})
    found = digits.prepare(chosen, out, tmp_path / "raw", {"REPROGAN_MNIST_MIRROR": "/no/folder"})
    assert (found.name, found.image_shape) == ("embedded digits", (1, 28, 28))
    assert found.counts == {"train": 1498, "test": 299} and found.classes == tuple("0123456789")
    first = out.read_bytes()
    digits.prepare(chosen, out, tmp_path / "raw", {})
    assert out.read_bytes() == first


def test_the_real_mnist(real_mnist, tmp_path):
    chosen = config.load(digits.Path(__file__).parents[2] / "params.yaml").digits.model_copy(update={"source": "mnist"})
    out = tmp_path / "digits.h5"
    environ = {"REPROGAN_MNIST_MIRROR": str(real_mnist)}
    found = digits.prepare(chosen, out, tmp_path / "raw", environ)
    assert (found.name, found.image_shape, found.counts) == ("mnist", (1, 28, 28), {"train": 60000, "test": 10000})
    train = hdf5.read(out, "train")
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.images.mean() == pytest.approx(33.318421, abs=1e-6)  # the well-known 0.1307 of 255
    first = out.read_bytes()
    digits.prepare(chosen, out, tmp_path / "raw", {})  # from the cache: the mirrors in params.yaml are not asked
    assert out.read_bytes() == first
