"""The container: gives back what was written, the same bytes each time, and refuses every other file in one line."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from reprogan.data import hdf5
from reprogan.errors import UserError

CLASSES = ("zéro", "one", "two")
SOURCES = {"b.gz": "1" * 64, "a.gz": "0" * 64}


def arrays(count: int, shape: tuple[int, int, int] = (1, 28, 28)) -> hdf5.Arrays:
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    return hdf5.Arrays(images, np.arange(count, dtype=np.int64) % len(CLASSES))


def write(path: Path, **changes: hdf5.Arrays) -> Path:
    splits = {"train": arrays(12), "test": arrays(6)} | changes
    hdf5.write(path, name="a set", classes=CLASSES, sources=SOURCES, **splits)
    return path


def refusal(path: Path) -> str:
    messages = set()
    for reader in (hdf5.describe, lambda file: hdf5.read(file, "train")):
        with pytest.raises(UserError) as refused:
            reader(path)
        messages.add(str(refused.value))
    (message,) = messages
    assert "\n" not in message and message.startswith(f"{path}: ") and f"run `dvc repro prepare_{path.stem}`" in message
    return message


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40)])
def test_gives_back_what_was_written(tmp_path, shape):
    train, test = arrays(12, shape), arrays(6, shape)
    path = write(tmp_path / "faces.h5", train=train, test=test)
    assert hdf5.describe(path) == hdf5.Description("a set", CLASSES, SOURCES, shape, {"train": 12, "test": 6})
    for split, written in (("train", train), ("test", test)):
        found = hdf5.read(path, split)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(found.images, written.images)
        np.testing.assert_array_equal(found.labels, written.labels)


def points(count: int, shape: tuple[int, int, int] = hdf5.POINT, dtype: type = np.float32) -> hdf5.Arrays:
    drawn = np.random.default_rng(count).normal(size=(count, *shape)).astype(dtype)
    return hdf5.Arrays(drawn, np.arange(count, dtype=np.int64) % len(CLASSES))


def test_gives_points_back_with_every_bit(tmp_path):
    train, test = points(12), points(6)
    path = write(tmp_path / "faces.h5", train=train, test=test)
    found = hdf5.describe(path)
    assert found == hdf5.Description("a set", CLASSES, SOURCES, (2, 1, 1), {"train": 12, "test": 6}, points=True)
    assert str(found) == "a set, 12 train and 6 test points, 3 classes"
    assert hdf5.read(path, "train").images.dtype == np.float32
    np.testing.assert_array_equal(hdf5.read(path, "train").images, train.images)
    np.testing.assert_array_equal(hdf5.read(path, "test").images, test.images)


def test_images_describe_themselves(tmp_path):
    found = hdf5.describe(write(tmp_path / "faces.h5", train=arrays(12, (3, 32, 40)), test=arrays(6, (3, 32, 40))))
    assert not found.points and str(found) == "a set, 12 train and 6 test images of 32×40, 3 classes"


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 2, 1), np.float32), ((3, 1, 1), np.float32), ((1, 28, 28), np.float32), ((2, 1, 1), np.float64)],
)
def test_floats_that_are_no_points_are_refused(tmp_path, shape, dtype):
    found = points(12, shape, dtype).images
    said = f"images are {found.dtype} {found.shape}; expected uint8 (N, C, H, W)"
    with pytest.raises(ValueError) as refused:
        write(tmp_path / "faces.h5", train=points(12, shape, dtype), test=points(6, shape, dtype))
    assert str(refused.value) == f"train: {said}"
    path = write(tmp_path / "faces.h5")
    with h5py.File(path, "r+") as file:
        del file["train/images"]
        file["train/images"] = found
    assert f"train: {said}" in refusal(path)


def test_equal_input_gives_equal_bytes_in_every_process(tmp_path):
    """Not only in this process, and not only within one second: no time, no name, no memory of before."""
    first = write(tmp_path / "first.h5")
    second = tmp_path / "a" / "second name.h5"
    program = f"import test_hdf5; test_hdf5.write(test_hdf5.Path({str(second)!r}))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=Path(__file__).parent)
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_full_disk_is_an_error_with_number_and_name_wherever_it_comes(tmp_path):
    """At any byte: HDF5 told of it would now and then crash. In a process of its own, for the limit and the crash."""
    path = write(tmp_path / "faces.h5")
    program = f"""
import errno, resource, signal, test_hdf5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = test_hdf5.Path({str(path)!r})
for limit in range(0, {path.stat().st_size}, 301):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        test_hdf5.write(path)
    except OSError as error:
        assert (error.errno, error.filename) == (errno.EFBIG, str(path)), error
    else:
        raise AssertionError(limit)
"""
    before = path.read_bytes()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_disk_without_room(tmp_path, monkeypatch):
    """Refused in the middle, and by a disk that still lets the file's size be set."""

    class Full(io.FileIO):
        def write(self, content):
            if self.tell() + len(content) > 5000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content)

    monkeypatch.setattr(hdf5, "open", lambda path, mode, buffering: Full(path, "w+"), raising=False)
    with pytest.raises(OSError, match="No space left") as refused:
        write(tmp_path / "faces.h5")
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, str(tmp_path / "faces.h5"))
    assert list(tmp_path.iterdir()) == []


def test_datasets_are_contiguous(tmp_path):
    with h5py.File(write(tmp_path / "faces.h5")) as file:
        assert file["train/images"].chunks is None and file["train/images"].compression is None


@pytest.mark.parametrize(
    "changes",
    [
        {"train": hdf5.Arrays(arrays(12).images.astype(np.float32), arrays(12).labels)},
        {"train": hdf5.Arrays(arrays(12).images[:, 0], arrays(12).labels)},
        {"test": hdf5.Arrays(arrays(6).images, arrays(6).labels.astype(np.int32))},
        {"test": hdf5.Arrays(arrays(6).images, arrays(12).labels)},
        {"test": hdf5.Arrays(arrays(6).images, arrays(6).labels + 1)},
        {"test": arrays(6, (1, 32, 32))},
        {"test": arrays(0)},
    ],
)
def test_writes_nothing_that_it_would_not_read(tmp_path, changes):
    with pytest.raises(ValueError):
        write(tmp_path / "faces.h5", **changes)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = write(tmp_path / "faces.h5")
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="ours"), hdf5.create(path) as file:
        file["half"] = np.zeros(1000)
        raise RuntimeError("ours")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_refuses_a_missing_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "faces.h5")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b" * 4000])
def test_refuses_what_is_not_hdf5(tmp_path, content):
    path = tmp_path / "faces.h5"
    path.write_bytes(content)
    assert "not an HDF5 file" in refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_refuses_a_truncated_file(tmp_path, share):
    path = write(tmp_path / "faces.h5")
    os.truncate(path, int(path.stat().st_size * share))
    assert f"{path}: truncated; expected a container" in refusal(path)


def edit_schema(file: h5py.File) -> None:
    file.attrs["schema"] = "reprogan-0"


def edit_no_schema(file: h5py.File) -> None:
    del file.attrs["schema"]


def edit_schema_type(file: h5py.File) -> None:
    file.attrs["schema"] = np.arange(3)


def edit_sources(file: h5py.File) -> None:
    file.attrs["sources"] = "{not JSON"


def edit_no_classes(file: h5py.File) -> None:
    del file.attrs["classes"]


def edit_no_labels(file: h5py.File) -> None:
    del file["test/labels"]


def edit_group_for_images(file: h5py.File) -> None:
    del file["train/images"]
    file.create_group("train/images")


def edit_images_type(file: h5py.File) -> None:
    del file["train/images"]
    file["train/images"] = np.zeros((12, 1, 28, 28), np.float32)


def edit_images_shape(file: h5py.File) -> None:
    del file["test/images"]
    file["test/images"] = np.zeros((6, 1, 32, 32), np.uint8)


def edit_label(file: h5py.File) -> None:
    file["train/labels"][3] = 3


def edit_negative_label(file: h5py.File) -> None:
    file["test/labels"][0] = -1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edit_schema, "schema 'reprogan-0'; expected 'reprogan-1'"),
        (edit_no_schema, "no schema; expected 'reprogan-1'"),
        (edit_schema_type, "no schema; expected 'reprogan-1'"),
        (edit_sources, "attributes name, classes and sources"),
        (edit_no_classes, "attributes name, classes and sources"),
        (edit_no_labels, "test: no labels"),
        (edit_group_for_images, "no images in group 'train'"),
        (edit_images_type, "train: images are float32 (12, 1, 28, 28); expected uint8 (N, C, H, W)"),
        (edit_images_shape, "test images uint8 (1, 32, 32)"),
        (edit_label, "train: label 3 of image 3; expected 0 to 2"),
        (edit_negative_label, "test: label -1 of image 0"),
    ],
)
def test_refuses_another_schema(tmp_path, edit, said):
    path = write(tmp_path / "faces.h5")
    with h5py.File(path, "r+") as file:
        edit(file)
    assert said in refusal(path)


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 3, 4, 5)}])
def test_rows_are_read_in_the_order_asked_for(tmp_path, options):
    path, rows = tmp_path / "some.h5", np.array([7, 0, 9, 3])
    images = np.random.default_rng(1).integers(0, 256, (10, 3, 4, 5)).astype(np.uint8)
    with hdf5.create(path) as file:
        hdf5.head(file, name="some", classes=("a", "b"), sources={}, attributes={"hat": ("no", "yes")})
        for split in hdf5.SPLITS:
            file.create_dataset(f"{split}/images", data=images, **options)
            file[f"{split}/labels"] = np.arange(10) % 2
            file[f"{split}/attributes"] = (np.arange(10) // 5).astype(np.uint8)[:, None]
    found = hdf5.read(path, "test", rows)
    assert np.array_equal(found.images, images[rows])
    assert found.labels.tolist() == [1, 0, 1, 1] and found.attributes.tolist() == [[1], [0], [1], [0]]
