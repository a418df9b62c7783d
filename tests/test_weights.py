"""Inception's weights brought from elsewhere; random ones stand for them, as the real ones are not there."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from reprogan import weights
from reprogan.check import check_extractors
from reprogan.config import Evaluation, load
from reprogan.data import hdf5
from reprogan.data.download import sha256_of
from reprogan.errors import UserError
from reprogan.evaluation.extractors import extract, load_extractor
from reprogan.evaluation.reference import write_reference
from reprogan.evaluation.score import score_generator
from reprogan.models import architecture

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of weights such as torch-fidelity reads."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("fetched") / "weights.pth"
    torch.save(architecture.build("inception", {}, (3, 299, 299), 0)["classifier"].network.state_dict(), path)
    return path


@pytest.fixture
def known(file, monkeypatch):
    """`file` as the one that is expected."""
    monkeypatch.setattr(weights, "SHA256_BEGINS", sha256_of(file)[:8])
    return file


def test_features_are_those_of_the_library(known, tmp_path):
    folder = weights.import_inception(known, tmp_path)
    assert folder == tmp_path / "models/inception"
    images = torch.randint(256, (3, 3, 40, 40), dtype=torch.uint8)
    found = extract(load_extractor(folder), [images[:2], images[2:]])
    content = io.BytesIO(known.read_bytes())  # the library would keep the file open
    (expected,) = FeatureExtractorInceptionV3("inception", ["2048"], content)(images)
    assert found.features.shape == (3, 2048) and found.logits.shape == (3, 0)
    torch.testing.assert_close(found.features, expected, rtol=1e-5, atol=1e-6)


def test_scores_are_read_with_it(known, tmp_path):
    folder = weights.import_inception(known, tmp_path)
    data, samples = tmp_path / "faces.h5", tmp_path / "samples/progan/samples.h5"
    random = np.random.default_rng(1)
    with hdf5.create(data) as prepared:
        hdf5.head(prepared, name="colours", classes=(), sources={})
        for split in hdf5.SPLITS:
            prepared[f"{split}/images"] = random.integers(0, 256, (12, 3, 32, 32)).astype(np.uint8)
    with hdf5.create(samples) as made:
        made["images"] = random.integers(0, 60, (12, 3, 32, 32)).astype(np.uint8)
    evaluation, reference = Evaluation(seed=1, count=100, seeds=1), tmp_path / "reference.h5"
    write_reference(None, data, folder, evaluation, reference)
    scores = score_generator(samples, data, folder, reference, evaluation).scores
    assert scores["extractor"] == "inception" and scores["feature_dimensions"] == 2048
    assert scores["extractor_sha256"] == sha256_of(folder / "classifier.safetensors")
    assert scores["frechet_distance"] > scores["floors"]["frechet_distance"] >= 0
    assert "attribute_distance" not in scores and "inception_score" not in scores


def refused(path, root) -> str:
    with pytest.raises(UserError) as error:
        weights.import_inception(path, root)
    assert not (root / "models").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_file_is_refused(file, tmp_path):
    assert "no such file; expected https://" in refused(tmp_path / "none.pth", tmp_path)
    message = refused(file, tmp_path)
    assert sha256_of(file) in message and "expected one that begins with 6726825d: https://" in message


def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch):
    class Runs:
        def __reduce__(self):
            return print, ("unpickled",)

    path = tmp_path / "weights.pth"
    for content in (Runs(), {"fc.weight": torch.zeros(1)}, [1]):
        torch.save(content, path)
        monkeypatch.setattr(weights, "SHA256_BEGINS", sha256_of(path)[:8])
        assert "no weights of this network" in refused(path, tmp_path)


def test_check_says_what_to_fetch(known, tmp_path):
    params = load(REPOSITORY / "params.yaml")
    check_extractors(params, tmp_path)
    chosen = params.references["faces"].model_copy(update={"extractor": "inception"})
    params = params.model_copy(update={"references": {**params.references, "faces": chosen}})
    with pytest.raises(UserError) as error:
        check_extractors(params, tmp_path)
    message = str(error.value)
    assert message.startswith("params.yaml: references.faces.extractor: models/inception: not there; fetch https://")
    assert "`reprogan inception FILE`" in message
    weights.import_inception(known, tmp_path)
    check_extractors(params, tmp_path)
