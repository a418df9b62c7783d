"""Two variants, or two revisions of one, beside each other: what differs, and which scores differ beyond chance."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from reprogan.report.scores import Score, shown

SHARE = 0.95
"""Of intervals like these, the share that hold what they are for."""
LIKE = ("data", "reference", "real_classes", "extractor_sha256", "n_real", "n_fake", "n_modes")
"""What must be alike in two scores.json before a difference of their scores says anything of the models."""
SAME, NO_DIFFERENCE = "the same", "no difference beyond chance"
ONE_SET, ONE_SEED = "not known: one sample set", "not known: one training seed"
_BLOCKS = ("variants", "compute", "evaluation", "references")

Chance = Literal["training seeds", "sampling seeds", "none"]


class Missing(Enum):
    """The value of a key that one side does not have, for null is a value."""

    MISSING = "–"


MISSING = Missing.MISSING


@dataclass(frozen=True)
class Side:
    """One of the two: its name on the screen, its variant, all of its params.yaml and of its scores.json as they are.

    `changed` names parameters that were edited after the scores were made.
    """

    label: str
    variant: str
    params: dict[str, Any]
    scores: dict[str, Any]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A key whose value is not the same on both sides; MISSING where it is not there."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Estimate:
    """A mean and half the width of its interval; None where too few values say how wide that is."""

    mean: float
    half_width: float | None

    @property
    def low(self) -> float | None:
        """The lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


@dataclass(frozen=True)
class Compared:
    """One score on both sides. `difference` is B − A; it and the verdict are None where sides cannot be compared."""

    score: Score
    a: Estimate
    b: Estimate
    difference: Estimate | None
    verdict: str | None


@dataclass(frozen=True)
class Comparison:
    """A against B: parameters that differ, what makes scores incomparable, and the scores that both have.

    `chance` says what the intervals are over.
    """

    a: Side
    b: Side
    parameters: tuple[Difference, ...]
    unlike: tuple[Difference, ...]
    chance: Chance
    scores: tuple[Compared, ...]


def compare(a: Side, b: Side) -> Comparison:
    """Compare two sides by what their files say.

    Intervals hold 95 %: Student's of each mean, Welch's of the difference of means (B. L. Welch, 1947), over training
    seeds where both sides have several, else over sample sets. Each score is judged by itself: of twenty that are
    equal, one differs "beyond chance" by chance.
    """
    several = all(len(side.scores.get("training", {}).get("seeds", [])) > 1 for side in (a, b))
    unlike = _differences(*({key: side.scores[key] for key in LIKE if key in side.scores} for side in (a, b)))
    scores = []
    for score in shown(a.scores):
        if score.key in b.scores:
            values = [_values(side.scores, score.key, "training" if several else "sets") for side in (a, b)]
            of_a, of_b = map(estimate, values)
            difference = None if unlike else estimate_difference(*values)
            word = None if difference is None else verdict(score, difference, ONE_SEED if several else ONE_SET)
            scores.append(Compared(score, of_a, of_b, difference, word))
    intervals = any(each.half_width is not None for line in scores for each in (line.a, line.b))
    chance: Chance = "training seeds" if several else "sampling seeds" if intervals else "none"
    parameters = sorted(_differences(_parameters(a, b), _parameters(b, a)), key=_block)
    return Comparison(a, b, tuple(parameters), unlike, chance, tuple(scores))


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of some values and Student's interval of it."""
    mean, count = float(statistics.mean(values)), len(values)
    if count < 2:
        return Estimate(mean, None)
    return Estimate(mean, _quantile(count - 1) * math.sqrt(statistics.variance(values) / count))


def estimate_difference(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """The mean of `b` less that of `a`, and Welch's interval of it: of unequal variances, none of them known."""
    mean = float(statistics.mean(b)) - float(statistics.mean(a))
    if min(len(a), len(b)) < 2:
        return Estimate(mean, None)
    squares = [statistics.variance(values) / len(values) for values in (a, b)]
    total = sum(squares)
    if total == 0:
        return Estimate(mean, 0.0)
    # As shares of their sum, for squares of small numbers end as zero.
    freedom = 1 / sum((square / total) ** 2 / (len(values) - 1) for square, values in zip(squares, (a, b), strict=True))
    return Estimate(mean, _quantile(freedom) * math.sqrt(total))


def verdict(score: Score, difference: Estimate, unknown: str = ONE_SET) -> str:
    """What the interval of B − A says of B, in words; `unknown` where there is none."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return unknown
    if low <= 0 <= high:
        return NO_DIFFERENCE if high > low else SAME
    if score.better == "neither":
        return "higher" if low > 0 else "lower"
    return "better" if (low > 0) == (score.better == "higher") else "worse"


def _quantile(freedom: float) -> float:
    """How many standard errors to each side hold the share, by Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + SHARE) / 2))


def _values(scores: dict[str, Any], key: str, kind: str) -> list[float]:
    """A score's value from each seed of a kind, or the one that there is."""
    return scores.get(kind, {}).get(key) or [scores[key]]


def _parameters(side: Side, other: Side) -> dict[str, Any]:
    """{dotted key: value} of what one variant's scores depend on; `*` for a name that is not the same on both sides."""
    variant, others = side.params["variants"][side.variant], other.params["variants"][other.variant]
    found = _flat(variant, f"variants.{side.variant if side.variant == other.variant else '*'}")
    for block in ("compute", "evaluation"):
        found |= _flat(side.params.get(block, {}), block)
    name, other_name, references = _reference(variant), _reference(others), side.params.get("references")
    if isinstance(references, dict) and name in references:
        found |= _flat(references[name], f"references.{name if name == other_name else '*'}")
    return found


def _reference(variant: dict[str, Any]) -> str:
    """The name under `references` of a path like data/references/digits.h5."""
    return str(variant.get("reference", "")).rpartition("/")[2].removesuffix(".h5")


def _block(one: Difference) -> int:
    return _BLOCKS.index(one.key.partition(".")[0])


def _flat(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {key: value}
    return {inner: each for name, block in value.items() for inner, each in _flat(block, f"{key}.{name}").items()}


def _differences(a: dict[str, Any], b: dict[str, Any]) -> tuple[Difference, ...]:
    """The keys whose values differ, in the order of `a`, then those that `b` alone has."""
    pairs = {key: (a.get(key, MISSING), b.get(key, MISSING)) for key in (*a, *b)}
    return tuple(Difference(key, one, other) for key, (one, other) in pairs.items() if not _alike(one, other))


def _alike(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)  # Python's True is 1, YAML's is not
