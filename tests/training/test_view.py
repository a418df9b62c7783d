"""Training on a part of the data, and on images that are enlarged."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from reprogan.data import hdf5
from reprogan.data.batches import TrainingImages, as_data, to_float
from reprogan.training import run
from reprogan.training.randomness import Randomness

CPU = torch.device("cpu")


@pytest.fixture
def seen(monkeypatch) -> list[TrainingImages]:
    """The data sets that trainings get, in order."""
    kept: list[TrainingImages] = []

    class Kept(TrainingImages):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept.append(self)

    monkeypatch.setattr(run, "TrainingImages", Kept)
    return kept


def test_a_view_is_what_the_training_gets(bench, seen):
    """Of each of two classes five of the ten images, with the labels that they had."""
    variant = bench.variant("gan", **{"view.classes": ["7", "2"], "view.per_class": 5, "training.batch_size": 8})
    bench.train("gan", variant)
    prepared = hdf5.read(bench.data, "train")
    (images,) = seen
    assert sorted(images.labels.tolist()) == [2] * 5 + [7] * 5
    for image, label in zip(images._resident[0].numpy(), images.labels.tolist(), strict=True):
        at = np.flatnonzero((prepared.images == image).all(axis=(1, 2, 3)))
        assert len(at) == 1 and prepared.labels[at[0]] == label


def test_enlarged_images_make_an_enlarging_generator(bench):
    folder = bench.train("dcgan64")
    description = json.loads((folder / "model.json").read_text())
    assert description["image_shape"] == [1, 64, 64]
    progress = safetensors.torch.load_file(folder / "progress.safetensors")
    assert progress["images"].shape == (2, 64, 1, 64, 64) and progress["images_seen"].tolist() == [0, 100]


def test_points_are_trained_on_as_they_are(bench, seen):
    folder = bench.train("ring_gan")
    prepared = hdf5.read(bench.prepared("ring"), "train")
    assert prepared.images.dtype == np.float32
    assert np.array_equal(seen[0]._resident[0].numpy(), prepared.images)
    progress = safetensors.torch.load_file(folder / "progress.safetensors")
    assert progress["images"].shape == (2, 1000, 2, 1, 1) and progress["images"].dtype == torch.float32


MISTAKES = {
    "too small": ({"view.size": 27}, "variants.gan.view.size is 27; the images are 28×28; expected 28 or more"),
    "no multiple": ({"view.size": 57}, "variants.gan.view.size is 57; the images are 28×28; expected a multiple of 2"),
    "no size": ({"view.size": 0}, "variants.gan.view.size: found 0; "),
    "unknown class": (
        {"view.classes": ["3", "ten"]},
        "variants.gan.view.classes: found 'ten'; expected classes of noise: 0, 1, 2",
    ),
    "no class": ({"view.classes": []}, "variants.gan.view.classes: found []; "),
    "no image of a class": ({"view.per_class": 0}, "variants.gan.view.per_class: found 0; "),
    "no such key": ({"view.class": ["3"]}, "variants.gan.view.class: unknown key; expected one of size, classes, per"),
    "a batch larger than the view": (
        {"view.classes": ["3", "4"], "view.per_class": 7},
        "variants.gan.training.batch_size is 16; ",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_view_is_one_line_that_names_the_key(bench, failed, mistake):
    changes, says = MISTAKES[mistake]
    line = failed(lambda: bench.train("gan", bench.variant("gan", **changes)))
    assert line.startswith(f"params.yaml: {says}")
    assert not (bench.root / "out").exists()


def test_a_batch_as_large_as_the_view(bench, failed):
    view = {"view.classes": ["3", "4"], "view.per_class": 7}
    bench.train("gan", bench.variant("gan", **view, **{"training.batch_size": 14}))
    line = failed(lambda: bench.train("gan", bench.variant("gan", **view, **{"training.batch_size": 15})))
    assert "holds 14 training images; lower it" in line


def test_a_class_without_images(bench, failed):
    arrays = hdf5.read(bench.data, "train")
    arrays = hdf5.Arrays(arrays.images[arrays.labels != 4], arrays.labels[arrays.labels != 4])
    names = tuple("0123456789")
    hdf5.write(bench.data, name="noise", classes=names, sources={}, train=arrays, test=arrays)
    line = failed(lambda: bench.train("gan", bench.variant("gan", **{"view.classes": ["4"]})))
    assert line.startswith("params.yaml: variants.gan.view.classes: noise has no images of class '4'")


@pytest.mark.parametrize("name", ["cgan", "dcgan_conditional"])
def test_a_conditional_gan_wants_every_class(bench, failed, name):
    """A fake of a class that no real image has would be known by its label alone."""
    line = failed(lambda: bench.train(name, bench.variant(name, **{"view.classes": ["2", "7"]})))
    assert line.startswith(f"params.yaml: variants.{name}.view.classes is ['2', '7']; a conditional model ")


MISMATCHES = {
    "codes that are no distributions": ("vae", {"network.variational": False}, "variational"),
    "distributions that are no codes": ("autoencoder", {"network.variational": True}, "variational"),
    "BatchNorm with a penalty": ("wgan_gp", {"network.discriminator_norm": "batch"}, "variants.wgan_gp.objective.pen"),
}


@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_a_system_that_its_networks_do_not_fit_is_one_line(bench, failed, mismatch):
    name, changes, says = MISMATCHES[mismatch]
    line = failed(lambda: bench.train(name, bench.variant(name, **changes)))
    assert line.startswith("params.yaml: ") and says in line


def test_batches_are_enlarged_once_they_are_gathered():
    """Black margins, then each pixel twice as wide: what lies between old pixels lies between their values."""
    pixels = torch.full((3, 1, 6, 6), 255, dtype=torch.uint8)
    images = TrainingImages(pixels.numpy(), np.arange(3), CPU, Randomness(7, CPU).permutation, 16)
    batch = images.batch(1, 2).images
    expected = torch.tensor([-1.0, -0.5, 0.5] + [1.0] * 10 + [0.5, -0.5, -1.0])
    assert batch.shape == (2, 1, 16, 16)
    torch.testing.assert_close(batch[1, 0, 8], expected)
    torch.testing.assert_close(batch[1, 0, :, 8], expected)


def test_points_are_data_already():
    points = torch.tensor([[3.5, -2.0]]).view(1, 2, 1, 1)
    assert to_float(points) is points and torch.equal(as_data(points.double()), points)
    assert as_data(torch.full((1, 2, 1, 2), 3.5)).tolist() == [[[[255, 255]], [[255, 255]]]]
