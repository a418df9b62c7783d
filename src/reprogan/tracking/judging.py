"""Two models judged by fresh samples of both: what `reprogan promote` decides by."""

import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.comparison import Estimate, estimate, estimate_difference
from reprogan.config import ENCODERS, PARAMS_FILE, Parameters
from reprogan.errors import UserError
from reprogan.report.scores import Score, shown

FEWEST_SETS = 5
_FRESH = 1_000_000  # seeds from here on are no pipeline's
_SEEDS = 1_000_000_000  # that there are to choose from
EFFECT = 0.02
"""The least effect, as a share of the champion's score, where none is given: less is nothing that anybody would see."""
LEAST_ENTROPY = 0.8  # of what real images have: a class or two of ten are missing, no more
LEAST_OF_CHAMPION = 0.5  # of its recall, coverage, diversity and modes
MOST_MEMORISED = 0.01  # share of samples nearer to a training image than any held-out image is
_KEPT = ("recall", "coverage", "diversity", "modes_covered")


@dataclass(frozen=True)
class Judged:
    """The scores of one model's fresh samples: of the first set and, by score, of all sets."""

    scores: dict[str, Any]

    @property
    def sets(self) -> dict[str, list[float]]:
        """{score: its value in each set}."""
        found: dict[str, list[float]] = self.scores["sets"]
        return found

    def mean(self, key: str) -> float:
        """The mean of a score over the sets."""
        return math.fsum(self.sets[key]) / len(self.sets[key])


def fresh_seed(names: Sequence[str]) -> int:
    """The first sampling seed for models of these names: another for each pair, so that luck does not come twice."""
    return _FRESH + int(hashlib.sha256("/".join(names).encode()).hexdigest()[:12], 16) % _SEEDS


def judge(variant: str, model: Path, params: Parameters, root: Path, seed: int, sets: int, count: int) -> Judged:
    """Draw `sets` sample sets of `count` images from the model in a folder and score them as `evaluate` does.

    From `seed` on, against the prepared data and with the extractor of the repository `root`, as the block of `variant`
    says. Raises UserError for a variant that draws nothing, and as sampling and scoring do.
    """
    from reprogan.evaluation.score import score_samples
    from reprogan.sampling.sample import sample_variant

    block = params.variant(variant)
    if block.system in ENCODERS:
        raise UserError(
            f"{PARAMS_FILE}: variants.{variant}: a {block.system} draws no samples to be judged by; expected a "
            "generator; set its alias in MLflow by hand"
        )
    sampling = block.sampling.model_copy(update={"seed": seed, "count": count})
    data = root / "data/processed" / f"{block.data}.h5"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / variant
        sample_variant(model, data, block.view, sampling, sets, params.compute, out)
        scores = score_samples(model, out, block, params.evaluation, root).scores
    if "sets" not in scores:  # what has no noise has one set
        scores["sets"] = {score.key: [float(scores[score.key])] for score in shown(scores)}
    return Judged(scores)


def find_score(key: str, judged: Judged) -> Score:
    """The score by its key, which has to be one that sample sets have and that has a better side."""
    known = {score.key: score for score in shown(judged.scores) if score.key in judged.sets}
    fitting = [name for name, score in known.items() if score.better != "neither"]
    if key not in fitting:
        raise UserError(f"--metric {key}: expected one of {', '.join(fitting)}")
    return known[key]


def paired(before: Mapping[Any, float], after: Mapping[Any, float]) -> Estimate:
    """The mean of after − before and its 95 % interval: paired by what both have, unpaired where that is not enough.

    Paired is Student's interval of the differences; the other is Welch's.
    """
    common = [key for key in before if key in after]
    if len(common) > 1:
        return estimate([after[key] - before[key] for key in common])
    return estimate_difference(list(before.values()), list(after.values()))


def is_better(score: Score, difference: Estimate, effect: float) -> bool:
    """Whether a difference (new − old) is one for the better, beyond chance and of that size at least."""
    if difference.low is None or difference.high is None:
        return False
    near = difference.low if score.better == "higher" else -difference.high
    gain = difference.mean if score.better == "higher" else -difference.mean
    return near > 0 and gain >= effect


def broken_floors(new: Judged, champion: Judged | None) -> list[str]:
    """What forbids a model whatever its score: each in words; [] for none.

    A model that draws a few images over and over may score well by luck or by a weak extractor.
    """
    found = []
    for score in shown(new.scores):
        if not math.isfinite(float(new.scores[score.key])):
            found.append(f"{score.key} is {new.scores[score.key]}")
    real = new.scores.get("floors", {}).get("class_entropy")
    if real and "class_entropy" in new.sets and (entropy := new.mean("class_entropy")) < LEAST_ENTROPY * real:
        found.append(
            f"class_entropy {entropy:.3g}; expected {LEAST_ENTROPY * real:.3g} or more, of real images {real:.3g}"
        )
    if "memorised_share" in new.scores:
        share = float(new.scores["memorised_share"])
        allowed = max(MOST_MEMORISED, float(champion.scores.get("memorised_share", 0)) if champion else 0.0)
        if share > allowed:
            found.append(f"memorised_share {share:.3g}; expected {allowed:.3g} or less")
    return found if champion is None else [*found, *_far_below(new, champion)]


def _far_below(new: Judged, champion: Judged) -> list[str]:
    """What a model has far less of than the champion."""
    found = []
    for key in _KEPT:
        if key in new.sets and key in champion.sets:
            has, least = new.mean(key), LEAST_OF_CHAMPION * champion.mean(key)
            if has < least:
                found.append(f"{key} {has:.3g}; expected {least:.3g} or more, half of the champion's")
    return found
