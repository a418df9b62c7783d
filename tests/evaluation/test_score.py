"""Scores from files: the right keys and values, the same bytes twice, one line for bad input."""

import json
import math
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from reprogan import config
from reprogan.config import Evaluation, View
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.evaluation import score as scores
from reprogan.evaluation.extractors import load_extractor
from reprogan.evaluation.inputs import ALL, chosen, some_of
from reprogan.evaluation.score import Scored, score_classifier, score_generator, score_variant, write_json

ROOT = Path(__file__).parents[2]


def score(workplace: SimpleNamespace, evaluation: Evaluation | None = None) -> dict:
    if evaluation is not None:
        workplace.refer(evaluation)
    return scored(workplace, evaluation or workplace.evaluation).scores


def scored(workplace: SimpleNamespace, evaluation: Evaluation, view: View = ALL) -> Scored:
    return score_generator(
        workplace.samples, workplace.data, workplace.extractor, workplace.reference, evaluation, view
    )


class AsTorchmetrics(nn.Module):
    """The project's extractor as torchmetrics wants one: uint8 images in, features or logits out."""

    def __init__(self, network: nn.Module, logits: bool) -> None:
        super().__init__()
        self.hidden = [network]  # in a list: `set_dtype` must not make a submodule's weights double
        self.logits = logits
        self.num_features = network.head.in_features

    def forward(self, images: Tensor) -> Tensor:
        (network,) = self.hidden
        found = network.features(to_float(images))
        return network.head(found) if self.logits else found.double()


def test_generator_scores_agree_with_torchmetrics(workplace: SimpleNamespace) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore

    found = score(workplace)
    network = load_extractor(workplace.extractor).network
    with h5py.File(workplace.samples) as file:
        fake = torch.from_numpy(file["images"][()])
    train, real = (torch.from_numpy(hdf5.read(workplace.data, split).images) for split in ("train", "test"))
    for held, images in ((found, fake), (found["floors"], train)):
        distance = FrechetInceptionDistance(feature=AsTorchmetrics(network, logits=False))
        distance.set_dtype(torch.float64)
        distance.update(real, real=True)
        distance.update(images, real=False)
        assert held["frechet_distance"] == pytest.approx(float(distance.compute()), rel=1e-4)
    for held, images in ((found, fake), (found["floors"], train)):
        inception = InceptionScore(feature=AsTorchmetrics(network, logits=True), normalize=False, splits=1)
        inception.update(images)
        assert held["inception_score"] == pytest.approx(float(inception.compute()[0]), rel=1e-4)
    assert 1 < found["inception_score"] < 3
    assert found["floors"]["frechet_distance"] < found["frechet_distance"]


def test_generator_keys(workplace: SimpleNamespace) -> None:
    found = score(workplace)
    of_one_set = {
        "frechet_distance", "frechet_relative", "kernel_distance", "precision", "recall", "density", "coverage",
        "diversity", "inception_score", "class_entropy",
    }  # fmt: skip
    assert found.keys() == of_one_set | {
        "class_entropy_max", "class_shares", "memorised_share", "nearer_than_half", "floors", "sets", "n_real",
        "n_fake", "n_train", "extractor", "extractor_sha256", "feature_dimensions", "dead_features",
        "data", "reference",
    }  # fmt: skip
    assert found["floors"].keys() == found["sets"].keys() == of_one_set
    assert (found["n_real"], found["n_fake"], found["extractor"], found["data"]) == (400, 400, "judge", "stripes")
    assert sum(found["class_shares"].values()) == pytest.approx(1)
    assert list(found["class_shares"]) == ["0", "1", "2"]
    assert found["class_entropy_max"] == math.log(3)
    real = torch.from_numpy(hdf5.read(workplace.data, "test").images)
    features = load_extractor(workplace.extractor).network.features(to_float(real)).double()
    assert found["feature_dimensions"] == features.shape[1]
    assert found["frechet_relative"] == pytest.approx(
        found["frechet_distance"] / float(features.var(0).sum()), rel=1e-6
    )


def test_samples_equal_to_the_real_images_have_distance_0(workplace: SimpleNamespace) -> None:
    with h5py.File(workplace.samples, "r+") as file:
        file["images"][...] = hdf5.read(workplace.data, "test").images
    assert score(workplace)["frechet_distance"] == pytest.approx(0, abs=1e-6)


def test_count_limits_both_sides_and_the_seed_chooses_the_real_ones(workplace: SimpleNamespace) -> None:
    found = score(workplace, Evaluation(seed=1, count=100, seeds=1))
    assert (found["n_real"], found["n_fake"]) == (100, 100)
    assert score(workplace, Evaluation(seed=2, count=100, seeds=1))["frechet_distance"] != found["frechet_distance"]


def test_few_images_are_warned_of(workplace: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    score(workplace, Evaluation(seed=1, count=100, seeds=1))
    warnings = capsys.readouterr().err.splitlines()
    dimensions = load_extractor(workplace.extractor).network.head.in_features
    assert len(warnings) == 2
    assert f"samples.h5: 100 images for {dimensions} feature dimensions; expected {10 * dimensions}" in warnings[0]


def test_the_same_bytes_twice(workplace: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_json(tmp_path / name, score(workplace))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_classifier_scores_by_hand(workplace: SimpleNamespace) -> None:
    found = score_classifier(workplace.extractor, workplace.data, workplace.evaluation)
    test = hdf5.read(workplace.data, "test")
    network = load_extractor(workplace.extractor).network
    probabilities = torch.softmax(network(to_float(torch.from_numpy(test.images))).double(), 1).numpy()
    right = probabilities.argmax(1) == test.labels
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["per_class_accuracy"] == pytest.approx({str(c): right[test.labels == c].mean() for c in range(3)})
    likelihoods = probabilities[np.arange(400), test.labels]
    assert found["negative_log_likelihood"] == pytest.approx(-np.log(likelihoods).mean(), rel=1e-5)
    assert (found["n_real"], found["data"]) == (400, "stripes")
    assert sorted(found) == sorted(
        ["accuracy", "negative_log_likelihood", "per_class_accuracy", "n_real", "data", "weights_sha256"]
    )


def test_a_class_without_held_out_images_is_left_out(workplace: SimpleNamespace) -> None:
    with h5py.File(workplace.data, "r+") as file:
        labels = file["test/labels"][()]
        labels[labels == 1] = 2
        file["test/labels"][...] = labels
    found = score_classifier(workplace.extractor, workplace.data, workplace.evaluation)
    assert list(found["per_class_accuracy"]) == ["0", "2"]


def test_metrics_are_written_to_six_digits_and_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"b": {"z": 1 / 3, "a": 12345678}, "a": 1234567.8, "name": "x"})
    assert (tmp_path / "m.json").read_text() == (
        '{\n  "a": 1234570.0,\n  "b": {\n    "a": 12345678,\n    "z": 0.333333\n  },\n  "name": "x"\n}\n'
    )


def test_metrics_must_be_finite(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "m.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_missing_samples(workplace: SimpleNamespace) -> None:
    workplace.samples.unlink()
    with pytest.raises(UserError, match=r"samples\.h5: not there; run `dvc repro -f sample@dcgan`"):
        score(workplace)


def test_truncated_samples(workplace: SimpleNamespace) -> None:
    whole = workplace.samples.read_bytes()
    workplace.samples.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"samples\.h5: truncated; .*sample@dcgan"):
        score(workplace)


def test_samples_that_are_no_hdf5(workplace: SimpleNamespace) -> None:
    workplace.samples.write_text("<html>")
    with pytest.raises(UserError, match=r"samples\.h5: not an HDF5 file"):
        score(workplace)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((5, 1, 28, 28), np.uint8), r"uint8 \(5, 1, 28, 28\); expected uint8 \(N, 1, 20, 20\)"),
        (np.zeros((5, 1, 20, 20), np.float32), "float32"),
        (np.zeros((0, 1, 20, 20), np.uint8), r"\(0, 1, 20, 20\)"),
        (np.zeros(7, np.uint8), r"uint8 \(7,\)"),
    ],
    ids=["size", "type", "none", "shape"],
)
def test_samples_of_another_kind(workplace: SimpleNamespace, images: np.ndarray, found: str) -> None:
    with h5py.File(workplace.samples, "w") as file:
        file["images"] = images
    with pytest.raises(UserError, match=f"samples.h5: images are .*{found}"):
        score(workplace)


def test_samples_of_another_schema(workplace: SimpleNamespace) -> None:
    shutil.copy(workplace.data, workplace.samples)
    with pytest.raises(UserError, match="no dataset `images`"):
        score(workplace)


@pytest.mark.parametrize(
    ("key", "value"), [("data", "mnist"), ("classes", ["a", "b", "c"]), ("image_shape", [1, 19, 19])]
)
def test_an_extractor_of_other_data(workplace: SimpleNamespace, key: str, value: object) -> None:
    path = workplace.extractor / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {key: value}))
    with pytest.raises(UserError, match=r"^models/judge: its .*; run `dvc repro train@judge`$"):
        score(workplace)


def test_an_extractor_that_tells_nothing_apart(workplace: SimpleNamespace) -> None:
    from safetensors.torch import load_file, save_file

    path = workplace.extractor / "classifier.safetensors"
    save_file({key: torch.zeros_like(value) for key, value in load_file(path).items()}, path)
    with pytest.raises(UserError, match="the same features for every image"):
        workplace.refer()


def score_as(workplace: SimpleNamespace, **view: object) -> dict:
    chosen = View.model_validate({"size": None, "classes": None, "per_class": None} | view)
    workplace.refer(size=chosen.size)
    return scored(workplace, workplace.evaluation, chosen).scores


def replace_samples(workplace: SimpleNamespace, **datasets: np.ndarray) -> None:
    with h5py.File(workplace.samples, "w") as file:
        for name, values in datasets.items():
            file[name] = values


@pytest.mark.parametrize("count", [400, 100])
def test_conditional_accuracy_is_the_share_answered_with_the_class_asked_for(
    workplace: SimpleNamespace, count: int
) -> None:
    images = np.random.default_rng(1).permutation(hdf5.read(workplace.data, "test").images)
    network = load_extractor(workplace.extractor).network
    answers = network(to_float(torch.from_numpy(images))).argmax(1).numpy()
    wrong = np.arange(400) % 10 < 3
    replace_samples(workplace, images=images, asked_for=(answers + wrong) % 3)
    rows = some_of(400, count, 1, "evaluation samples").numpy()
    found = score(workplace, Evaluation(seed=1, count=count, seeds=1))["conditional_accuracy"]
    assert found == 1 - wrong[rows].mean() and abs(found - 0.7) < 0.1
    replace_samples(workplace, images=images, asked_for=answers)
    assert score(workplace, Evaluation(seed=1, count=count, seeds=1))["conditional_accuracy"] == 1


def test_samples_for_which_no_class_was_asked_have_no_conditional_accuracy(workplace: SimpleNamespace) -> None:
    assert "conditional_accuracy" not in score(workplace)


def test_the_view_limits_the_real_images_to_its_classes(workplace: SimpleNamespace) -> None:
    test = hdf5.read(workplace.data, "test")
    seen = test.images[np.isin(test.labels, (0, 2))]
    replace_samples(workplace, images=np.concatenate([seen, seen]))
    found = score_as(workplace, classes=("2", "0"))
    train_labels = hdf5.read(workplace.data, "train").labels
    assert found["n_real"] == len(seen) < 400
    assert found["n_fake"] == min(np.isin(train_labels, (0, 2)).sum(), 2 * len(seen))
    replace_samples(workplace, images=seen[: found["n_fake"]])
    same = score_as(workplace, classes=("2", "0"), per_class=3)
    assert same["frechet_distance"] < 1e-2 * score_as(workplace)["frechet_distance"]


def test_enlarged_samples_are_reduced(workplace: SimpleNamespace) -> None:
    with h5py.File(workplace.samples) as file:
        images = file["images"][()]
    expected = score(workplace)
    replace_samples(workplace, images=np.pad(images.repeat(3, 2).repeat(3, 3), ((0, 0), (0, 0), (3, 3), (3, 3))))
    found = score_as(workplace, size=66)
    for key in ("inception_score", "class_shares", "class_entropy", "n_fake"):
        assert found[key] == expected[key], key


def enlarged_to_60(images: np.ndarray) -> np.ndarray:
    """20×20 => 60×60 by torch in float64, rounded."""
    large = functional.interpolate(torch.from_numpy(images).double(), (60, 60), mode="bilinear", align_corners=False)
    return large.round().clamp(0, 255).to(torch.uint8).numpy()


def test_real_images_go_the_way_of_enlarged_samples_so_that_the_floor_can_be_reached(
    workplace: SimpleNamespace,
) -> None:
    train, test = (hdf5.read(workplace.data, split).images for split in ("train", "test"))
    replace_samples(workplace, images=enlarged_to_60(train))
    found = score_as(workplace, size=60)
    assert found["frechet_distance"] == pytest.approx(found["floors"]["frechet_distance"], rel=1e-2)
    replace_samples(workplace, images=enlarged_to_60(test))
    again = score_as(workplace, size=60)
    assert again["frechet_distance"] < 1e-2 * found["floors"]["frechet_distance"]
    replace_samples(workplace, images=test.repeat(3, 2).repeat(3, 3))  # not blurred
    assert score_as(workplace, size=60)["frechet_distance"] > found["floors"]["frechet_distance"]


def test_samples_of_another_size_than_the_view(workplace: SimpleNamespace) -> None:
    with pytest.raises(UserError, match=r"\(400, 1, 20, 20\); expected uint8 \(N, 1, 60, 60\)"):
        score_as(workplace, size=60)


def test_an_autoencoders_samples_add_what_it_gives_back(workplace: SimpleNamespace) -> None:
    test = hdf5.read(workplace.data, "test").images
    replace_samples(workplace, **{"images": test, "held_out/reconstructions": test // 2})
    found = score(workplace)["reconstruction_error"]
    assert found == pytest.approx(((test // 2 / 255 - test / 255) ** 2).mean(), rel=1e-9)


OTHERS = {
    "digit_features": "score_extractor",
    "cnn_classifier": "score_extractor",
    "face_features": "score_extractor",
    "caption_features": "score_captions",
    "ring_gan": "score_points",
    "ring_r3gan": "score_points",
}


def test_each_variant_is_scored_as_its_data_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for scorer in ("score_extractor", "score_points", "score_captions", "score_generator"):
        monkeypatch.setattr(scores, scorer, lambda *given, scorer=scorer: (scorer, *given))
    params = config.load(ROOT / "params.yaml")
    assert OTHERS.keys() < params.variants.keys()
    evaluation = params.evaluation
    for name, variant in params.variants.items():
        samples = tmp_path / "samples" / name / "samples.h5"
        data, judge = tmp_path / f"data/processed/{variant.data}.h5", tmp_path / "models" / variant.extractor
        expected = {
            "score_extractor": (judge, data, samples, evaluation),
            "score_points": (samples, data, evaluation),
            "score_captions": (judge, data, samples, evaluation),
            "score_generator": (samples, data, judge, tmp_path / variant.reference, evaluation, variant.view),
        }
        scorer = OTHERS.get(name, "score_generator")
        found = score_variant(name, variant, evaluation, tmp_path)
        assert (found if scorer == "score_generator" else found.scores) == (scorer, *expected[scorer])


@pytest.fixture
def repository(workplace: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two variants, `dcgan` (samples) and `judge` (a classifier), as the current folder."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["references"] = {"digits": params["references"]["digits"] | {"extractor": "judge"}}
    judge = params["variants"].pop("digit_features") | {"extractor": "judge"}
    params["report"]["explorer"] = []
    params["variants"] = {"judge": judge, "dcgan": params["variants"]["dcgan"] | {"extractor": "judge"}}
    params["evaluation"] = workplace.evaluation.model_dump()
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "data/processed").mkdir(parents=True)
    workplace.data.rename(tmp_path / "data/processed/digits.h5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_scores_each_kind_of_variant_its_own_way(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "stages")
    stage = runpy.run_path(str(ROOT / "stages/evaluate.py"))
    for variant, key in (("dcgan", "frechet_distance"), ("judge", "accuracy")):
        stage["evaluate"](config.load(), [variant])
        assert key in json.loads((repository / "metrics" / f"{variant}.json").read_text())
        assert key in json.loads((repository / "scores" / variant / "scores.json").read_text())


def test_the_stage_fails_in_one_line(repository: Path, workplace: SimpleNamespace) -> None:
    workplace.samples.unlink()
    failed = subprocess.run(
        [sys.executable, ROOT / "stages/evaluate.py", "dcgan"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_ROOT": str(repository)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert failed.stderr.startswith("reprogan: samples/dcgan/samples.h5: not there")
    assert not (repository / "metrics").exists()


def test_few_of_many_are_the_same_images_read_alone_or_all_together(workplace):
    few = workplace.evaluation.model_copy(update={"count": 100})
    alone, answers = chosen(workplace.data, "train", few)
    together, all_answers = chosen(
        workplace.data, "train", few, View(size=None, classes=("0", "1", "2"), per_class=None)
    )
    assert len(alone) == 100
    assert torch.equal(alone, together) and torch.equal(answers, all_answers)
