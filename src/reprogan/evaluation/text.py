"""The scores of images drawn from captions, and of the encoders that captions are read by."""

import hashlib
import math
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.data.hdf5 import Arrays
from reprogan.errors import UserError
from reprogan.evaluation.attributes import read_options
from reprogan.evaluation.inputs import open_file
from reprogan.evaluation.retrieval import AMONG, named_scores, retrieval_accuracy
from reprogan.models.trained import describe, main_weights


def text_scores(
    group: h5py.Group,
    rows: Tensor,
    logits: Tensor,
    held_out_logits: Tensor,
    data_path: Path,
    evaluation: Evaluation,
) -> dict[str, Any]:
    """How often drawn images and their captions go together; beside each score that of the held-out images themselves.

    `group` is a sample set; `logits` (n, K) are the extractor's of its `rows` (n,), `held_out_logits` (M, K) of every
    held-out image. Where it answers what attributes an image has, and the data tells which of them a caption names,
    `named` has how often those are read in the image.
    """
    held_out, samples = hdf5.read(data_path, "test"), group.file
    captions = torch.from_numpy(group["caption"][()])
    scores = {
        "retrieval_accuracy": _accuracy(group["drawn_features/images"], captions, samples, held_out, evaluation),
        "retrieval_accuracy_real": _of_held_out(samples, held_out, evaluation),
        "retrieval_among": AMONG,
    }
    if held_out.named is None or held_out.attributes is None or not logits.shape[1]:
        return scores
    attributes = hdf5.describe(data_path).attributes
    truth, named = torch.from_numpy(held_out.attributes), torch.from_numpy(held_out.named)
    told = captions[rows]
    of_drawn = named_scores(read_options(logits, attributes), truth[told], named[told], attributes)
    of_held_out = named_scores(read_options(held_out_logits, attributes), truth, named, attributes)
    by_attribute = {
        name: found | {"accuracy_real": of_held_out[name]["accuracy"]}
        for name, found in of_drawn.items()
        if name in of_held_out
    }
    if not by_attribute:
        return scores
    return scores | {
        "named_accuracy": _mean(by_attribute, "accuracy"),
        "named_accuracy_chance": _mean(by_attribute, "chance"),
        "named_accuracy_real": _mean(by_attribute, "accuracy_real"),
        "named": by_attribute,
    }


def score_captions(model: Path, data_path: Path, samples_path: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Score the encoders of images and captions on the held-out ones: the right caption found among ten."""
    data, trained = hdf5.describe(data_path), describe(model)
    if (trained.data, trained.vocabulary) != (data.name, data.vocabulary):
        raise UserError(
            f"models/{trained.variant}: made for {trained.data} in {len(trained.vocabulary):,} words; expected "
            f"{data.name} in {len(data.vocabulary):,} as in {data_path}; run `dvc repro train@{trained.variant}`"
        )
    held_out = hdf5.read(data_path, "test")
    with open_file(samples_path, "held_out_features") as samples:
        accuracy = _of_held_out(samples, held_out, evaluation)
    sha256 = hashlib.sha256(main_weights(model).read_bytes()).hexdigest()
    return {
        "retrieval_accuracy": accuracy,
        "retrieval_among": AMONG,
        "n_real": len(held_out.images),
        "data": data.name,
        "weights_sha256": sha256,
    }


def _of_held_out(samples: h5py.File, held_out: Arrays, evaluation: Evaluation) -> float:
    rows = torch.arange(len(held_out.images))
    return _accuracy(samples["held_out_features/images"], rows, samples, held_out, evaluation)


def _accuracy(
    images: h5py.Dataset, rows: Tensor, samples: h5py.File, held_out: Arrays, evaluation: Evaluation
) -> float:
    """The retrieval accuracy of images by their features, whose captions are those of the held-out `rows`."""
    captions = torch.from_numpy(samples["held_out_features/captions"][()])
    tokens = torch.from_numpy(held_out.tokens)
    return retrieval_accuracy(torch.from_numpy(images[()]), rows, captions, tokens, evaluation.seed)


def _mean(by_attribute: dict[str, dict[str, Any]], key: str) -> float:
    return math.fsum(found[key] for found in by_attribute.values()) / len(by_attribute)
