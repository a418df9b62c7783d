"""What came out: each variant's data, budget, scores and speed. The closing table of `make repro`."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.config import ENCODERS, NO_REFERENCE, Parameters, Variant
from reprogan.errors import UserError
from reprogan.report.scores import SCORES, Score
from reprogan.versions import read_scores

READERS = "encoders"
"""The table of variants that make no images."""
KEYS = (
    "frechet_distance", "precision", "recall", "coverage", "reverse_kl", "modes_covered", "high_quality_share",
    "accuracy", "negative_log_likelihood", "inception_score", "conditional_accuracy", "attribute_distance",
    "retrieval_accuracy", "named_accuracy", "l1", "psnr", "ssim", "reconstruction_error", "negative_elbo",
)  # fmt: skip
"""The scores that one screen has room for; the first that a table has says which of its variants is best."""


@dataclass(frozen=True)
class Row:
    """One variant; None or {} for what is not there. `table` is the name of the data that it makes more of."""

    variant: str
    table: str
    data: str | None
    images_seen: int | None
    images_per_second: float | None
    scores: dict[str, Any]


def rows(params: Parameters, root: Path) -> list[Row]:
    """A row a variant, from `models/`, `scores/` and, for images/s, what the last training here left behind."""
    return [_row(name, params, root) for name in params.variants]


def _row(name: str, params: Parameters, root: Path) -> Row:
    variant = params.variant(name)
    model = _json(root / "models" / name / "model.json")
    done = _json(root / ".reprogan/live" / name / "done.json")
    made_here = done and _made_here(root / "models" / name, done)
    return Row(
        variant=name,
        table=READERS if variant.system in ENCODERS else _compared_in(variant),
        data=model.get("data"),
        images_seen=model.get("images_seen"),
        images_per_second=done["images_per_second"] if made_here else None,
        scores=read_scores(root, name) or {},
    )


def _compared_in(variant: Variant) -> str:
    """The name of what a variant's scores are read against, which those that compare have in common."""
    return variant.data if variant.reference == NO_REFERENCE else Path(variant.reference).stem


@dataclass(frozen=True)
class Grouped:
    """The rows that stand in one table, the best first, and the scores that it has columns for."""

    name: str
    scores: tuple[Score, ...]
    rows: tuple[Row, ...]


def grouped(all_rows: list[Row]) -> list[Grouped]:
    """A group a data set, and one of the encoders, in the order of params.yaml.

    The first score of each group says which of its variants is best; those without it come last, as they came.
    """
    groups, known = [], {score.key: score for score in SCORES}
    for name in dict.fromkeys(row.table for row in all_rows):
        found = [row for row in all_rows if row.table == name]
        scores = tuple(known[key] for key in KEYS if any(key in row.scores for row in found))
        groups.append(Grouped(name, scores, tuple(sorted(found, key=_place(scores[0])) if scores else found)))
    return sorted(groups, key=lambda group: group.name == READERS)


def _place(score: Score) -> Callable[[Row], float]:
    sign = -1 if score.better == "higher" else 1
    return lambda row: sign * row.scores[score.key] if score.key in row.scores else math.inf


def as_json(all_rows: list[Row]) -> str:
    """All of it, every score of scores.json among it, as JSON by variant; null for what is not there."""
    return json.dumps(
        {
            row.variant: {
                "data": row.data,
                "images_seen": row.images_seen,
                "images_per_second": row.images_per_second,
                "scores": row.scores or None,
            }
            for row in all_rows
        },
        indent=2,
    )


def _made_here(model: Path, done: dict[str, Any]) -> bool:
    """Whether the model that is here is the one whose training took the time noted."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in model.glob("*.safetensors")]
    return done["model_sha256"] in digests


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path}: damaged: not JSON ({error}); remove it, then run `dvc repro`") from error
