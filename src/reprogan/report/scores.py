"""How each score is called, written and judged, wherever scores are shown: the report, tables on a terminal."""

import math
import statistics
from dataclasses import dataclass
from typing import Any, Literal

ENOUGH = 10
"""Images a feature dimension; fewer, and a distance leans on their number (as `evaluate` warns)."""


@dataclass(frozen=True)
class Score:
    """A score by its key in scores.json: its title, how its value is written, and which way is better.

    `real` is the key of what real images have where that does not stand among the floors.
    """

    key: str
    title: str
    better: Literal["lower", "higher", "neither"]
    form: Literal["figure", "percent", "count"] = "figure"
    real: str | None = None

    def value(self, value: float) -> str:
        """A value as text."""
        if self.form == "percent":
            return percent(value)
        return count(value) if self.form == "count" else figure(value)

    def range(self, low: float, high: float) -> str:
        """An interval as text, in three digits."""
        if self.form == "percent":
            return f"{100 * low:.3g} to {100 * high:.3g} %"
        return f"{low:.3g} to {high:.3g}"

    def headline(self, scores: dict[str, Any]) -> float:
        """The mean over training seeds; where there is one, the value."""
        values = scores.get("training", {}).get(self.key, [])
        return float(statistics.mean(values) if len(values) > 1 else scores[self.key])

    def in_words(self, scores: dict[str, Any]) -> str:
        """Mean ± standard deviation over training seeds; where there is one, the value ± that over sample sets."""
        deviation = self.deviation(scores)
        return self.value(self.headline(scores)) + ("" if deviation is None else f" ± {self._small(deviation)}")

    def deviation(self, scores: dict[str, Any]) -> float | None:
        """The standard deviation over training seeds or, of one, over its sample sets; None where there is one."""
        for of in ("training", "sets"):
            if len(values := scores.get(of, {}).get(self.key, [])) > 1:
                return statistics.stdev(values)
        return None

    def _small(self, deviation: float) -> str:
        return f"{100 * deviation:.2g}" if self.form == "percent" else f"{deviation:.2g}"

    def floor(self, scores: dict[str, Any]) -> float | None:
        """What as many real images score: no generator of new images does better; None where it is not known."""
        value = scores.get(self.real) if self.real else scores.get("floors", {}).get(self.key)
        return None if value is None else float(value)


SCORES = (
    Score("accuracy", "Accuracy", "higher", "percent"),
    Score("negative_log_likelihood", "Negative log-likelihood, nats", "lower"),
    Score("modes_covered", "Modes covered", "higher", "count", "modes_covered_real"),
    Score("reverse_kl", "Reverse KL, nats", "lower", real="reverse_kl_real"),
    Score("high_quality_share", "Within three deviations", "higher", "percent", "high_quality_share_real"),
    Score("frechet_distance", "Fréchet distance", "lower"),
    Score("frechet_relative", "Share of real variance", "lower"),
    Score("kernel_distance", "Kernel distance", "lower"),
    Score("precision", "Precision", "higher", "percent"),
    Score("recall", "Recall", "higher", "percent"),
    Score("density", "Density", "neither"),
    Score("coverage", "Coverage", "higher", "percent"),
    Score("diversity", "Diversity", "neither"),
    Score("inception_score", "Inception score", "higher"),
    Score("class_entropy", "Class entropy, nats", "higher"),
    Score("conditional_accuracy", "Of the class asked for", "higher", "percent"),
    Score("attribute_distance", "Attributes apart", "lower", "percent"),
    Score("retrieval_accuracy", "Caption found among ten", "higher", "percent", "retrieval_accuracy_real"),
    Score("named_accuracy", "Of what captions name", "higher", "percent", "named_accuracy_real"),
    Score("l1", "Absolute error", "lower"),
    Score("psnr", "PSNR, dB", "higher"),
    Score("ssim", "SSIM", "higher"),
    Score("noise_spread", "Spread over the noise", "neither"),
    Score("memorised_share", "Memorised", "lower", "percent"),
    Score("nearer_than_half", "Nearer than half of held-out", "neither", "percent"),
    Score("reconstruction_error", "Reconstruction error", "lower"),
    Score("negative_elbo", "Negative ELBO, nats", "lower"),
)


def shown(scores: dict[str, Any]) -> list[Score]:
    """Those that one variant has, in the order in which they are shown."""
    return [score for score in SCORES if score.key in scores]


def few(scores: dict[str, Any]) -> bool:
    """Whether there are too few images for the features' number of dimensions."""
    images = min(scores.get("n_real", math.inf), scores.get("n_fake", math.inf))
    return bool(images < ENOUGH * scores.get("feature_dimensions", 0))


def figure(value: float) -> str:
    """A score to 4 significant digits, never as a power of ten above 0.0001."""
    short = f"{value:.4g}"
    return f"{float(short):,.0f}" if "e+" in short else short


def percent(share: float, places: int = 1) -> str:
    """A share in [0, 1] in percent."""
    return f"{100 * share:.{places}f} %"


def count(value: float) -> str:
    """A whole number, thousands apart."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """A large number in few characters: 980, 12.3 k, 4.56 M, 7.89 G."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:g}"
