"""Training curves as inline SVG: the same bytes for the same history, colours from the page's style sheet."""

import io
import re
from dataclasses import dataclass
from html import escape
from typing import Any

from reprogan.report.contents import History

_WIDTH, _HEIGHT = 4.6, 2.5  # inches of 72 SVG units; the page scales it
_PROBABILITY = "Mean probability of “real”"  # as the discriminator sees it
# Colours that matplotlib writes, and the page's variables that take their place, for light and dark.
_INK, _RULE = "#010101", "#020202"
_SERIES = ("#030303", "#040404", "#050505", "#060606")
_VARIABLES = {_INK: "var(--soft)", _RULE: "var(--rule)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES, 1)
}


@dataclass(frozen=True)
class Line:
    """One curve: what it is called in the legend, and its last value."""

    label: str
    last: float


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its title, its lines in the order of the colours, and the `<svg>` element."""

    title: str
    lines: list[Line]
    svg: str


def draw_charts(history: History) -> list[Chart]:
    """The charts of a training history: losses together, probabilities together, anything else by itself."""
    groups: dict[str, list[str]] = {}
    for column in history.columns:
        groups.setdefault(_title(column), []).append(column)
    return [_draw(title, columns, history) for title, columns in groups.items() if history.images_seen]


def _title(column: str) -> str:
    if column in ("real_probability", "fake_probability"):
        return _PROBABILITY
    if column in ("real_logit", "fake_logit"):
        return "Mean logit"
    if column == "loss" or column.endswith("_loss"):
        return "Loss"
    return column.replace("_", " ").capitalize()


def _label(column: str) -> str:
    for ending in ("_loss", "_probability", "_logit"):
        column = column.removesuffix(ending)
    return {"real": "on real images", "fake": "on fake images"}.get(column, column.replace("_", " "))


def _draw(title: str, columns: list[str], history: History) -> Chart:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "reprogan",
        "font.size": 10.5,
        "axes.edgecolor": _RULE,
        "axes.formatter.useoffset": False,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "grid.color": _RULE,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.5,
        "lines.solid_joinstyle": "round",
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # nobody's matplotlibrc changes the page
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        axes = figure.add_axes((0.11, 0.125, 0.84, 0.84))
        marker = "o" if len(history.images_seen) == 1 else None  # a single point is no line
        for column, colour in zip(columns, _SERIES * len(columns), strict=False):
            axes.plot(history.images_seen, history.columns[column], color=colour, marker=marker, markersize=3)
        if title == _PROBABILITY:
            axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(0, max(history.images_seen[-1], 1))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _images(value)))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    lines = [Line(_label(column), history.columns[column][-1]) for column in columns]
    return Chart(title, lines, _for_the_page(out.getvalue(), title))


def _images(count: float) -> str:
    """A number of images, short: 500, 20k, 1.8M."""
    if count >= 1e6:
        return f"{count / 1e6:g}M"
    return f"{count / 1e3:g}k" if count >= 1e3 else f"{count:g}"


def _for_the_page(svg: str, title: str) -> str:
    """The bare `<svg>` element: no prologue, white paper, fonts or repeated ids; colours by the page's variables."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' <g id="patch_[12]">\s*<path [^>]*/>\s*</g>\s*', "", svg)  # the paper of figure and axes
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'<g id="[^"]*"/>| transform="rotate\(-0 [^"]*"|font-family: [^;"]*; ', "", svg)
    svg = re.sub(
        r'<svg [^>]*viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{escape(title)}">', svg
    )
    svg = svg.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", svg)
