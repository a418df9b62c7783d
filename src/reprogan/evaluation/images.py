"""The scores that take images alone, whoever made them: those of `evaluate` and of `reprogan score` alike."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reprogan.config import Evaluation
from reprogan.data import hdf5
from reprogan.evaluation.extractors import Extracted, Extractor, Rows, blocks_of, extract
from reprogan.evaluation.inputs import at_size, some_of, warn_of_few
from reprogan.evaluation.memorisation import Copies, find_copies, memorised
from reprogan.evaluation.modes import stacked_modes
from reprogan.evaluation.neighbours import on_sphere
from reprogan.evaluation.quality import quality
from reprogan.evaluation.reference import Reference
from reprogan.progress import tracked


@dataclass(frozen=True)
class ScoredImages:
    """Scores of a set of images, the rows of it that were scored, int64 (n,), and what the extractor makes of these."""

    scores: dict[str, Any]
    rows: Tensor
    found: Extracted

    def copies(self, reference: Reference) -> Copies:
        """Of each of the `rows` the nearest training image."""
        return find_copies(on_sphere(self.found.features), reference.train)


def score_images(
    images: Rows,
    data: hdf5.Description,
    extractor: Extractor,
    reference: Reference,
    evaluation: Evaluation,
    name: str,
) -> ScoredImages:
    """The scores of `quality` for some of `images` uint8 (N, C, H, W); of stacked digits also `stacked_modes` of all.

    They are brought to the data's size. `name` is the set's in errors.
    """
    rows = _scored_rows(len(images), reference, evaluation)
    if not extractor.stacked:
        found = _read(images, rows, data, extractor)
        return ScoredImages(quality(found, reference.real, evaluation.seed, name), rows, found)
    everything = _read(images, torch.arange(len(images)), data, extractor)  # modes are counted among all
    found = everything[rows]
    scores = quality(found, reference.real, evaluation.seed, name)
    scores |= stacked_modes(everything.logits, reference.logits["train"], len(data.classes), evaluation.seed)
    return ScoredImages(scores, rows, found)


def beside_scores(
    scored: ScoredImages, copies: Copies, extractor: Extractor, reference: Reference, data_path: Path, name: str
) -> dict[str, Any]:
    """What the scores of images are read with: whether they are copies, the floors, numbers of images, the extractor.

    Warns of few images, of the set `name` and held-out ones of `data_path`, and where copies cannot be told.
    """
    n_fake, n_real, dimensions = len(scored.rows), len(reference.apart), reference.train.shape[1]
    warn_of_few(name, n_fake, dimensions)
    warn_of_few(f"{data_path}: test", n_real, dimensions)
    copied = memorised(copies, reference.apart)
    if not copied:
        print(
            f"reprogan: {data_path}: every held-out image is a training image as well; memorisation cannot be told",
            file=sys.stderr,
        )
    return copied | {
        "floors": reference.floors(n_fake),
        "n_real": n_real,
        "n_fake": n_fake,
        "n_train": len(reference.train),
        "extractor": extractor.description.variant,
        "extractor_sha256": extractor.sha256,
        "feature_dimensions": dimensions,
        "dead_features": reference.real.dead_features,
    }


def _scored_rows(total: int, reference: Reference, evaluation: Evaluation) -> Tensor:
    """The rows int64 (n,), rising, of `total` images that are scored: as many as the floor can have, or all.

    By a seeded permutation, for samples may come in the order of their classes.
    """
    return some_of(total, len(reference.floor_side.features), evaluation.seed, "evaluation samples").sort().values


def _read(images: Rows, rows: Tensor, data: hdf5.Description, extractor: Extractor) -> Extracted:
    height, width = data.image_shape[1:]
    blocks = (at_size(block, height, width) for block in blocks_of(images, rows))
    return extract(extractor, tracked(blocks, len(rows), "reading samples", len))
