"""Training curves as the page's script draws them."""

from dataclasses import dataclass
from typing import Any

from reprogan.report.contents import History

_PROBABILITY = "Mean probability of “real”"  # as the discriminator sees it
_DIGITS = 5  # of a value


@dataclass(frozen=True)
class Line:
    """One curve: what it is called in the legend, and its values."""

    label: str
    values: list[float]


@dataclass(frozen=True)
class Chart:
    """Lines over the same images seen; `bounds` of the values where these are known."""

    title: str
    lines: list[Line]
    bounds: tuple[float, float] | None = None

    @property
    def summary(self) -> str:
        """Where each line begins and ends, for who does not see it."""
        return "; ".join(f"{line.label} from {line.values[0]:.4g} to {line.values[-1]:.4g}" for line in self.lines)

    def as_data(self, images_seen: list[int]) -> dict[str, Any]:
        """What the page's script is given."""
        return {
            "title": self.title,
            "bounds": self.bounds,
            "labels": [line.label for line in self.lines],
            "data": [images_seen, *(line.values for line in self.lines)],
        }


def charts_of(history: History) -> list[Chart]:
    """The charts of a training history: losses together, probabilities together, anything else by itself."""
    groups: dict[str, list[Line]] = {}
    for column, values in history.columns.items():
        short = [float(f"{value:.{_DIGITS}g}") for value in values]
        groups.setdefault(_title(column), []).append(Line(_label(column), short))
    return [
        Chart(title, lines, (0.0, 1.0) if title == _PROBABILITY else None)
        for title, lines in groups.items()
        if history.images_seen
    ]


def _title(column: str) -> str:
    if column in ("real_probability", "fake_probability"):
        return _PROBABILITY
    if column in ("real_logit", "fake_logit"):
        return "Mean logit"
    if column == "loss" or column.endswith("_loss"):
        return "Loss"
    return column.replace("_", " ").capitalize().replace("Kl ", "KL ")


def _label(column: str) -> str:
    for ending in ("_loss", "_probability", "_logit"):
        column = column.removesuffix(ending)
    return {"real": "on real images", "fake": "on fake images"}.get(column, column.replace("_", " "))
