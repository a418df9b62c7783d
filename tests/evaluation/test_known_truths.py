"""Scores of images whose quality is known: real ones, noise, one image, few images, half of the classes.

A small data set of drawn stripes and a classifier that was trained on it here: what is known holds for any extractor
that tells images apart.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.evaluation.reference import write_reference
from reprogan.evaluation.score import Scored, score_generator, write_scored
from reprogan.models import architecture, trained

SIDE, CLASSES, COUNT = 28, ("0", "1", "2", "3"), 1000
EVALUATION = Evaluation(seed=1, count=COUNT, seeds=3)


def stripes(count: int, seed: int, classes: tuple[int, ...] = (0, 1, 2, 3)) -> hdf5.Arrays:
    """Blurred stripes whose row is the class, of many places, widths and grey tones."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, count)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    middle = 3.5 + 7 * labels + random.normal(0, 0.4, count)
    slope, width, tone = random.normal(0, 0.05, count), random.uniform(0.6, 1.4, count), random.uniform(120, 255, count)
    away = rows[None] - middle[:, None, None] - slope[:, None, None] * (columns[None] - SIDE / 2)
    images = tone[:, None, None] * np.exp(-((away / width[:, None, None]) ** 2))
    return hdf5.Arrays(images.astype(np.uint8)[:, None], labels.astype(np.int64))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """digits.h5 of 3,000 training and 1,000 held-out images, a trained classifier `judge`, their reference."""
    folder = tmp_path_factory.mktemp("truths")
    train, test = stripes(3000, 1), stripes(COUNT, 2)
    hdf5.write(folder / "digits.h5", name="stripes", classes=CLASSES, sources={}, train=train, test=test)
    torch.manual_seed(0)
    networks = architecture.build("digit_features", {}, (1, SIDE, SIDE), len(CLASSES))
    classifier = networks["classifier"].train()
    optimiser = torch.optim.Adam(classifier.parameters(), 1e-3)
    images, labels = to_float(torch.from_numpy(train.images)), torch.from_numpy(train.labels)
    for step in range(120):
        batch = slice(step * 50 % 3000, step * 50 % 3000 + 50)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(classifier(images[batch]), labels[batch]).backward()
        optimiser.step()
    classifier.eval().requires_grad_(False)
    described = trained.Description(
        "judge", "classifier", "digit_features", {}, (1, SIDE, SIDE), CLASSES, "stripes", "last", 6000
    )
    trained.save(folder / "models/judge", described, networks)
    write_reference(None, folder / "digits.h5", folder / "models/judge", EVALUATION, folder / "reference.h5")
    return folder


@pytest.fixture
def scored(place: Path, tmp_path: Path) -> Iterator:
    def score(images: np.ndarray, **sets: np.ndarray) -> Scored:
        samples = tmp_path / "v/samples.h5"
        samples.parent.mkdir(exist_ok=True)
        with h5py.File(samples, "w") as file:
            file["images"] = images
            for seed, others in sets.items():
                file[f"sets/{seed.removeprefix('seed_')}/images"] = others
        return score_generator(samples, place / "digits.h5", place / "models/judge", place / "reference.h5", EVALUATION)

    return score


def train_images(place: Path) -> np.ndarray:
    return hdf5.read(place / "digits.h5", "train").images


def held_out(place: Path) -> np.ndarray:
    return hdf5.read(place / "digits.h5", "test").images


def test_the_classifier_knows_the_classes(place):
    arrays = hdf5.read(place / "digits.h5", "test")
    network = trained.load(place / "models/judge").networks["classifier"]
    answers = network(to_float(torch.from_numpy(arrays.images))).argmax(1).numpy()
    assert (answers == arrays.labels).mean() > 0.97


def test_new_images_of_the_same_kind_score_as_the_floor(place, scored):
    found = scored(stripes(COUNT, 7).images).scores
    floors = found["floors"]
    assert 0 < found["frechet_distance"] < 3 * floors["frechet_distance"]
    assert abs(found["kernel_distance"] - floors["kernel_distance"]) < 0.02
    for key in ("precision", "recall", "coverage"):
        assert found[key] == pytest.approx(floors[key], abs=0.05) and found[key] > 0.85
    assert found["density"] == pytest.approx(1, abs=0.1) and found["inception_score"] == pytest.approx(
        floors["inception_score"], rel=0.05
    )
    assert found["memorised_share"] <= 3 / COUNT and found["nearer_than_half"] == pytest.approx(0.5, abs=0.06)


def test_the_floors_are_the_scores_of_the_training_images_that_the_evaluation_chooses(place, scored):
    from reprogan.evaluation.inputs import chosen

    images, _ = chosen(place / "digits.h5", "train", EVALUATION)
    found = scored(images.numpy()).scores
    assert found["floors"] == {key: pytest.approx(found[key], rel=1e-6) for key in found["floors"]}
    assert found["memorised_share"] == 1.0


def test_the_held_out_images_against_themselves(place, scored):
    found = scored(held_out(place)).scores
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-6 * found["floors"]["frechet_distance"] + 1e-7)
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert found["kernel_distance"] == pytest.approx(found["floors"]["kernel_distance"], abs=0.02)


def test_noise_is_far_off_and_nothing_of_it_is_precise(place, scored):
    noise = np.random.default_rng(1).integers(0, 256, (COUNT, 1, SIDE, SIDE), dtype=np.uint8)
    found = scored(noise).scores
    assert found["frechet_relative"] > 0.5 > 20 * found["floors"]["frechet_relative"]
    assert found["precision"] < 0.02 and found["coverage"] < 0.02 and found["memorised_share"] == 0
    assert found["kernel_distance"] > 0.2


@pytest.mark.parametrize("own", ["train", "test"])
def test_one_repeated_image(place, scored, own):
    """All precise and no variety; and a copy of a training image is known as one."""
    (image, *_) = hdf5.read(place / "digits.h5", own).images  # type: ignore[arg-type]
    found = scored(np.repeat(image[None], COUNT, 0))
    scores = found.scores
    assert scores["recall"] <= 0.01 and scores["coverage"] <= 0.02 and scores["diversity"] == 0
    assert scores["class_entropy"] == 0 and scores["inception_score"] == pytest.approx(1)
    assert scores["memorised_share"] == (1.0 if own == "train" else 0.0)
    samples, nearest = found.copies
    assert samples.shape == nearest.shape == (10, 1, SIDE, SIDE)
    if own == "train":
        assert torch.equal(samples, nearest)


def test_a_hundred_images_ten_times_over(place, scored):
    """The distance hardly sees it; coverage does."""
    few = stripes(100, 9).images
    found, all_new = scored(np.repeat(few, 10, 0)).scores, scored(stripes(COUNT, 9).images).scores
    assert found["precision"] > 0.85
    assert found["coverage"] < 0.6 * all_new["coverage"]
    assert found["frechet_relative"] < 0.1


def test_half_of_the_classes(place, scored):
    found = scored(stripes(COUNT, 11, (0, 2)).images).scores
    assert found["coverage"] == pytest.approx(0.5, abs=0.07) and found["recall"] == pytest.approx(0.5, abs=0.1)
    assert found["class_entropy"] == pytest.approx(np.log(2), abs=0.05)
    assert found["class_shares"]["1"] < 0.03 and found["precision"] > 0.85


def test_copies_among_new_images_are_found_and_shown(place, scored, tmp_path):
    copied = train_images(place)[[5, 70, 2999]]
    images = np.concatenate([stripes(COUNT - 3, 12).images, copied])
    found = scored(images)
    assert found.scores["memorised_share"] >= 3 / COUNT
    samples, nearest = found.copies
    assert {image.tobytes() for image in copied} <= {image.tobytes() for image in samples.numpy()}
    assert sum(bool(torch.equal(a, b)) for a, b in zip(samples, nearest, strict=True)) >= 3
    write_scored(found, tmp_path / "metrics/v.json", tmp_path / "scores/v")
    with Image.open(tmp_path / "scores/v/copies.png") as picture:
        assert picture.size == (10 * (2 * SIDE + 2) + 2, 2 * (2 * SIDE + 2) + 2)


def test_every_sample_set_is_scored(place, scored):
    sets = [stripes(COUNT, seed).images for seed in (21, 22, 23)]
    together = scored(sets[0], seed_2=sets[1], seed_3=sets[2]).scores
    alone = [scored(images).scores for images in sets]
    assert together["frechet_distance"] == alone[0]["frechet_distance"]
    for key, values in together["sets"].items():
        assert values == [one[key] for one in alone], key
    assert len(set(together["sets"]["frechet_distance"])) == 3
    assert all(key not in together["sets"] for key in ("class_entropy_max", "memorised_share"))


def test_fewer_samples_have_a_floor_of_as_many(place, scored):
    few = scored(stripes(300, 30).images).scores
    assert (
        few["n_fake"] == 300
        and few["floors"]["frechet_distance"]
        > 1.5 * scored(stripes(COUNT, 30).images).scores["floors"]["frechet_distance"]
    )


def test_samples_in_the_order_of_their_classes_are_chosen_evenly(place, scored):
    ordered = np.concatenate([stripes(1000, label, (label,)).images for label in range(4)])
    found = scored(ordered).scores
    assert found["n_fake"] == COUNT and found["class_entropy"] > 1.37


def test_dead_features_are_counted_and_do_no_harm(place, scored):
    found = scored(stripes(COUNT, 40).images).scores
    features = h5py.File(place / "reference.h5")["test/features"][()]
    assert found["dead_features"] == int((features.var(0) == 0).sum())
