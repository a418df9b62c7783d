"""Attributes read by a classifier: right answers counted, shares of options compared; all on constructed images."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reprogan import config
from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation import score
from reprogan.evaluation.attributes import option_shares, read_options, shares_apart
from reprogan.evaluation.reference import write_reference
from reprogan.models import architecture, trained
from reprogan.sampling.sample import sample_variant

ATTRIBUTES = {"colour": ("red", "green", "blue"), "size": ("small", "large")}
ANSWERS = ("colour is red", "colour is green", "colour is blue", "size is small", "size is large")
SIDE = 8


class Reads(nn.Module):
    """Answers as `draw` draws: the brightest channel is the colour, a bright last row means large."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def features(self, images: Tensor) -> Tensor:
        return torch.cat((images.mean((2, 3)), images[:, :, -1].amax((1, 2))[:, None]), 1)

    def head(self, features: Tensor) -> Tensor:
        large = features[:, 3:]
        return torch.cat((4 * features[:, :3], -large, large), 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def draw(colours: list[int], sizes: list[int]) -> np.ndarray:
    images = np.zeros((len(colours), 3, SIDE, SIDE), np.uint8)
    for image, colour, size in zip(images, colours, sizes, strict=True):
        image[colour, : SIDE if size else SIDE // 2] = 255
    return images


def write(path: Path, colours: list[int], sizes: list[int]) -> None:
    """Both splits alike; codes as drawn, but the first image is said to be of the next colour."""
    with hdf5.create(path) as file:
        hdf5.head(file, name="boxes", classes=(), sources={}, attributes=ATTRIBUTES)
        codes = np.array([colours, sizes], np.uint8).T.copy()
        codes[0, 0] = (codes[0, 0] + 1) % 3
        for split in hdf5.SPLITS:
            group = file.create_group(split)
            group["images"], group["attributes"] = draw(colours, sizes), codes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """boxes.h5 of 60 images: 20 of each colour, one in three large; the model that reads them: judge."""
    write(tmp_path / "boxes.h5", [index % 3 for index in range(60)], [index // 20 == 0 for index in range(60)])
    monkeypatch.setattr(architecture, "build", lambda *_, **__: {"classifier": Reads()})
    shape = (3, SIDE, SIDE)
    described = trained.Description("judge", "classifier", "reads", {}, shape, ANSWERS, "boxes", "last", 1)
    trained.save(tmp_path / "judge", described, {"classifier": Reads()})
    return tmp_path


EVALUATION = Evaluation(seed=1, count=100, seeds=1)


def samples(place: Path, colours: list[int], sizes: list[int]) -> Path:
    (place / "v").mkdir()
    with hdf5.create(place / "v/samples.h5") as file:
        file["images"] = draw(colours, sizes)
    return place / "v/samples.h5"


def scores_of(samples: Path, data: Path, extractor: Path) -> dict:
    reference = data.parent / "reference.h5"
    write_reference(None, data, extractor, EVALUATION, reference)
    return score.score_generator(samples, data, extractor, reference, EVALUATION).scores


def test_answers_of_a_data_set(place):
    description = hdf5.describe(place / "boxes.h5")
    assert description.answers == ANSWERS and description.attributes == ATTRIBUTES
    arrays = hdf5.read(place / "boxes.h5", "train")
    answers = hdf5.answers_of(arrays, description)
    assert answers[0].tolist() == [1, 4] and answers[1].tolist() == [1, 4] and answers[59].tolist() == [2, 3]


def test_a_classifiers_accuracy_is_that_of_each_attribute(place):
    found = score.score_classifier(place / "judge", place / "boxes.h5", EVALUATION)
    assert found["per_attribute_accuracy"] == {"colour": pytest.approx(59 / 60), "size": 1.0}
    assert found["accuracy"] == pytest.approx((59 / 60 + 1) / 2) and found["n_real"] == 60


def test_a_generators_shares_stand_beside_the_real_ones(place):
    """All large, half of them red and half green: of colours a third would have to change, of sizes two thirds."""
    path = samples(place, [index % 2 for index in range(100)], [1] * 100)
    found = scores_of(path, place / "boxes.h5", place / "judge")
    assert (
        found["attribute_shares"]
        == {
            "colour": {"red": 0.5, "green": 0.5, "blue": 0.0},
            "size": {"small": 0.0, "large": 1.0},
        }
        or found["n_fake"] == 60
    )
    assert found["attribute_distance"] == pytest.approx((1 / 3 + 2 / 3) / 2, abs=0.02)
    floors = found["floors"]
    assert floors["attribute_distance"] == 0.0 and "inception_score" not in found
    assert found["frechet_distance"] > floors["frechet_distance"] == pytest.approx(0.0, abs=1e-6)


def test_an_extractor_of_other_attributes_is_refused(place):
    with hdf5.create(place / "boxes.h5") as file:
        more = ATTRIBUTES | {"size": ("small", "large", "huge")}
        hdf5.head(file, name="boxes", classes=(), sources={}, attributes=more)
        for split in hdf5.SPLITS:
            group = file.create_group(split)
            group["images"], group["attributes"] = draw([0, 1], [0, 1]), np.zeros((2, 2), np.uint8)
    with pytest.raises(UserError, match="its answers: "):
        score.score_classifier(place / "judge", place / "boxes.h5", EVALUATION)


def test_options_are_read_within_their_attribute():
    logits = torch.tensor([[9.0, 1.0, 2.0, -5.0, -4.0], [0.0, 1.0, 0.5, 7.0, 6.0]])
    assert read_options(logits, ATTRIBUTES).tolist() == [[0, 1], [1, 0]]


def test_shares_apart_by_hand():
    one = option_shares(torch.tensor([[0, 0], [0, 0], [1, 0], [2, 1]]), ATTRIBUTES)
    other = option_shares(torch.tensor([[2, 0], [2, 1], [1, 0], [1, 1]]), ATTRIBUTES)
    assert one == {"colour": {"red": 0.5, "green": 0.25, "blue": 0.25}, "size": {"small": 0.75, "large": 0.25}}
    assert shares_apart(one, other) == pytest.approx((0.5 + 0.25) / 2)
    assert shares_apart(one, one) == 0.0


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (np.zeros((60, 3), np.uint8), "train: attributes are uint8 (60, 3); expected uint8 (60, 2)"),
        (np.zeros((60, 2), np.int64), "train: attributes are int64 (60, 2); expected uint8 (60, 2)"),
        (np.full((60, 2), 2, np.uint8), "train: size 2 of image 0; expected 0 to 1"),
        (None, "train: no attributes"),
    ],
)
def test_a_container_whose_attributes_are_wrong_is_refused(place, codes, text):
    import h5py

    with h5py.File(place / "boxes.h5", "a") as file:
        del file["train/attributes"]
        if codes is not None:
            file["train/attributes"] = codes
    with pytest.raises(UserError) as refused:
        hdf5.describe(place / "boxes.h5")
    assert text in str(refused.value) and "\n" not in str(refused.value)


# ---- without attributes -------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """faces.h5: 40 images of noise of 16×16 without classes or attributes; an encoder and decoder: models/eyes."""
    images = np.random.default_rng(1).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    with hdf5.create(tmp_path / "data/processed/faces.h5") as file:
        hdf5.head(file, name="pictures", classes=(), sources={})
        for split in hdf5.SPLITS:
            file.create_group(split)["images"] = images
    torch.manual_seed(1)
    network = {"widths": [4, 8], "features": 6}
    networks = architecture.build("face_features", network, (3, 16, 16), 0)
    described = trained.Description(
        "eyes", "features", "face_features", network, (3, 16, 16), (), "pictures", "last", 1
    )
    trained.save(tmp_path / "models/eyes", described, networks)
    return tmp_path


def test_images_without_attributes_are_scored_in_an_encoders_features(pictures):
    path = pictures / "v/samples.h5"
    with hdf5.create(path) as file:
        file["images"] = np.random.default_rng(2).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    data, eyes = pictures / "data/processed/faces.h5", pictures / "models/eyes"
    found = scores_of(path, data, eyes)
    assert found["frechet_distance"] > 0 and found["feature_dimensions"] == 6
    assert not [key for key in found if "class" in key or "attribute" in key or "inception" in key]
    assert found["extractor_sha256"] == hashlib.sha256((eyes / "decoder.safetensors").read_bytes()).hexdigest()


def test_an_encoder_is_scored_by_what_it_restores(pictures):
    model = trained.load(pictures / "models/eyes")
    images = hdf5.read(pictures / "data/processed/faces.h5", "test").images
    params = config.load(Path(__file__).parents[2] / "params.yaml")
    sample_variant(
        pictures / "models/eyes",
        pictures / "data/processed/faces.h5",
        params.variant("face_features").view,
        params.variant("face_features").sampling,
        1,
        params.compute.model_copy(update={"threads": 1}),
        pictures / "samples/eyes",
    )
    variant = params.variant("face_features").model_copy(update={"extractor": "eyes"})
    found = score.score_variant("eyes", variant, EVALUATION, pictures).scores
    with torch.no_grad():
        restored = model.networks["decoder"](model.networks["encoder"](torch.from_numpy(images) / 127.5 - 1))
    error = ((restored.double() + 1) / 2 * 255).round().sub(torch.from_numpy(images)).div(255).square().mean()
    assert found["reconstruction_error"] == pytest.approx(float(error), rel=1e-3) and found["n_real"] == 40
    assert {path.name for path in (pictures / "samples/eyes").iterdir()} == {"grid.png", "latents.png", "samples.h5"}
