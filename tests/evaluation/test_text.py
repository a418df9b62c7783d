"""Scores of images drawn from captions, all on constructed features and images; one line for what does not fit."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.extractors import Extractor, blocks_of, extract
from reprogan.evaluation.text import score_captions, text_scores
from reprogan.models import architecture, trained

ATTRIBUTES = {"colour": ("red", "green", "blue"), "size": ("small", "large")}
ANSWERS = ("colour is red", "colour is green", "colour is blue", "size is small", "size is large")
WORDS = ("red", "green", "blue", "small", "large")
SIDE = 16
EVALUATION = Evaluation(seed=1, count=100, seeds=1)
NETWORK = {"widths": [2], "word_size": 3, "phrases": [1], "features": 4}

# Six held-out images: colour, size, and whether the caption names them.
COLOURS, SIZES = [0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 0, 1]
NAMED = [[1, 1], [1, 1], [1, 0], [0, 1], [1, 0], [1, 0]]


class Reads(nn.Module):
    """Answers as `draw` draws, but that it takes blue for red."""

    def features(self, images: Tensor) -> Tensor:
        return torch.cat((images.mean((2, 3)), images[:, :, -1].amax((1, 2))[:, None]), 1)

    def head(self, features: Tensor) -> Tensor:
        red, green, blue, large = features.unbind(1)
        return torch.stack((torch.maximum(red, blue), green, torch.full_like(red, -9.0), -large, large), 1)


def draw(colours: list[int], sizes: list[int]) -> np.ndarray:
    images = np.zeros((len(colours), 3, SIDE, SIDE), np.uint8)
    for image, colour, size in zip(images, colours, sizes, strict=True):
        image[colour, : SIDE if size else SIDE // 2] = 255
    return images


def tokens() -> np.ndarray:
    """The words that are named, then padding."""
    rows = np.zeros((6, 2), np.uint16)
    for row, colour, size, (of_colour, of_size) in zip(rows, COLOURS, SIZES, NAMED, strict=True):
        words = [1 + colour] * of_colour + [4 + size] * of_size
        row[: len(words)] = words
    return rows


def write(path: Path, **changes: object) -> Path:
    """Both splits alike; `named` None leaves that out."""
    said = {
        "name": "boxes",
        "vocabulary": WORDS,
        "attributes": ATTRIBUTES,
        "named": np.array(NAMED, np.uint8),
    } | changes
    with hdf5.create(path) as file:
        head = {key: said[key] for key in ("name", "vocabulary", "attributes")}
        hdf5.head(file, classes=(), sources={}, **head)
        for split in hdf5.SPLITS:
            group = file.create_group(split)
            group["images"], group["tokens"] = draw(COLOURS, SIZES), tokens()
            group["attributes"] = np.array([COLOURS, SIZES], np.uint8).T
            if said["named"] is not None:
                group["named"] = said["named"]
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "captions.h5")


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[h5py.File]:
    """Two drawn images of each caption, whose features lie at their caption but for the last three."""
    captions = np.eye(6, dtype=np.float32)
    drawn = np.concatenate([captions, captions])
    drawn[9:] = np.roll(captions[3:], 1, 0)
    (tmp_path / "samples/draws").mkdir(parents=True)
    with h5py.File(tmp_path / "samples/draws/samples.h5", "w") as file:
        file["caption"] = np.arange(12) % 6
        file["drawn_features/images"], file["drawn_features/captions"] = drawn, captions[[*range(6)] * 2]
        file["held_out_features/images"] = captions[[0, 1, 2, 3, 4, 0]]
        file["held_out_features/captions"] = captions
        yield file


def extractor(classes: tuple[str, ...] = ANSWERS) -> Extractor:
    shape = (3, SIDE, SIDE)
    described = trained.Description("judge", "classifier", "reads", {}, shape, classes, "boxes", "last", 1)
    return Extractor(Reads(), described, "0" * 64)


def logits_of(colours: list[int], sizes: list[int]) -> Tensor:
    """Sure answers."""
    logits = torch.zeros(len(colours), 5)
    for row, colour, size in zip(logits, colours, sizes, strict=True):
        row[colour] = row[3 + size] = 5.0
    return logits


def scores_of(samples: h5py.File, data: Path, logits: Tensor, classes: tuple[str, ...] = ANSWERS) -> dict:
    """Those of the first samples, as many as there are logits; held-out images are read by the extractor."""
    held_out = torch.from_numpy(hdf5.read(data, "test").images)
    read = extract(extractor(classes), blocks_of(held_out)).logits if classes else torch.zeros(6, 0)
    return text_scores(samples, torch.arange(len(logits)), logits, read, data, EVALUATION)


def test_own_captions_among_ten_for_drawn_and_for_real_images(samples, data):
    found = scores_of(samples, data, torch.zeros(12, 0), ())
    assert found == {
        "retrieval_accuracy": 9 / 12,
        "retrieval_accuracy_real": pytest.approx(5 / 6),
        "retrieval_among": 10,
    }


def test_only_what_a_caption_names_is_counted(samples, data):
    """Read are all colours of the first six right but the fourth's, which is not named, and the fifth's."""
    read_colours, read_sizes = [0, 1, 2, 1, 0, 2], [0, 0, 1, 1, 1, 0]
    found = scores_of(samples, data, logits_of(read_colours, read_sizes))
    colour, size = found["named"]["colour"], found["named"]["size"]
    # Colours are named of all but the fourth image: read 2, 1, 2 times, true 1, 2, 2 times.
    assert (colour["accuracy"], colour["count"]) == (4 / 5, 5)
    assert colour["chance"] == pytest.approx((2 * 1 + 1 * 2 + 2 * 2) / 25)
    # Sizes of the first, second and fourth: read small, small, large; true small, large, large.
    assert (size["accuracy"], size["count"]) == (pytest.approx(2 / 3), 3)
    assert size["chance"] == pytest.approx((2 * 1 + 1 * 2) / 9)
    # In the held-out images themselves blue is taken for red, which is named of two.
    assert (colour["accuracy_real"], size["accuracy_real"]) == (3 / 5, 1.0)
    assert found["named_accuracy"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["named_accuracy_chance"] == pytest.approx((8 / 25 + 4 / 9) / 2)
    assert found["named_accuracy_real"] == pytest.approx((3 / 5 + 1) / 2)


def test_each_image_is_compared_with_the_caption_it_was_drawn_from(samples, data):
    del samples["caption"]
    samples["caption"] = np.array([2, 2, 5, 0, 1, 3, 0, 1, 2, 3, 4, 5])
    rows = samples["caption"][()]
    right = logits_of([COLOURS[row] for row in rows], [SIZES[row] for row in rows])
    found = scores_of(samples, data, right)
    assert found["named_accuracy"] == 1 and found["named"]["colour"]["count"] == sum(NAMED[row][0] for row in rows)
    assert found["retrieval_accuracy"] == sum(
        np.argmax(features) == row for features, row in zip(samples["drawn_features/images"], rows, strict=True)
    ) / len(rows)


def test_an_attribute_that_no_caption_names_is_left_out(samples, tmp_path):
    data = write(tmp_path / "captions.h5", named=np.array(NAMED, np.uint8) * np.array([1, 0], np.uint8))
    found = scores_of(samples, data, logits_of(COLOURS, SIZES))
    assert list(found["named"]) == ["colour"] and found["named_accuracy"] == 1


def test_without_named_attributes_there_is_retrieval_alone(samples, tmp_path):
    keys = {"retrieval_accuracy", "retrieval_accuracy_real", "retrieval_among"}
    logits = logits_of(COLOURS, SIZES)
    unnamed = write(tmp_path / "captions.h5", named=None)
    assert set(scores_of(samples, unnamed, logits)) == keys
    bare = write(tmp_path / "captions.h5", attributes=None)
    assert set(scores_of(samples, bare, logits)) == keys


# ---- the encoders -------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    networks = architecture.build("caption_features", NETWORK, (3, SIDE, SIDE), 0, words=len(WORDS))
    described = replace(
        extractor().description,
        variant="reader",
        system="contrastive",
        architecture="caption_features",
        network=NETWORK,
        vocabulary=WORDS,
    )
    trained.save(tmp_path / "models/reader", described, networks)
    return tmp_path / "models/reader"


def place(samples: h5py.File) -> Path:
    path = Path(samples.filename)
    samples.close()
    return path


def test_the_encoders_scores(samples, data, model):
    assert score_captions(model, data, place(samples), EVALUATION) == {
        "retrieval_accuracy": pytest.approx(5 / 6),
        "retrieval_among": 10,
        "n_real": 6,
        "data": "boxes",
        "weights_sha256": hashlib.sha256((model / "text_encoder.safetensors").read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"name": "emoji"}, "made for boxes in 5 words; expected emoji in 5 as in "),
        ({"vocabulary": (*WORDS, "huge")}, "made for boxes in 5 words; expected boxes in 6 as in "),
        ({"vocabulary": WORDS[::-1]}, "made for boxes in 5 words; expected boxes in 5 as in "),
    ],
)
def test_encoders_of_other_captions_are_refused(samples, model, tmp_path, changes, says):
    data = write(tmp_path / "captions.h5", **changes)
    with pytest.raises(UserError) as error:
        score_captions(model, data, place(samples), EVALUATION)
    assert str(error.value) == f"models/reader: {says}{data}; run `dvc repro train@reader`"


def test_samples_without_features_are_refused(samples, data, model):
    del samples["held_out_features"]
    path = place(samples)
    with pytest.raises(UserError, match=r"no dataset `held_out_features`; expected a samples file; .*sample@draws`"):
        score_captions(model, data, path, EVALUATION)
    path.unlink()
    with pytest.raises(UserError, match=r"samples\.h5: not there; run `dvc repro -f sample@draws`"):
        score_captions(model, data, path, EVALUATION)
