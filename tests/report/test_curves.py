"""Training curves: the same bytes twice, nothing of the machine in them, colours from the page."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reprogan.report.contents import History
from reprogan.report.curves import draw_charts

GAN = History(
    [1000, 2000, 3000],
    {
        "generator_loss": [1.0, 2.0, 3.0],
        "discriminator_loss": [0.5, 0.25, 0.125],
        "real_probability": [0.6, 0.7, 0.8],
        "fake_probability": [0.4, 0.3, 0.2],
    },
)


def test_the_charts_of_a_gan() -> None:
    losses, probabilities = draw_charts(GAN)
    assert (losses.title, [(line.label, line.last) for line in losses.lines]) == (
        "Loss",
        [("generator", 3.0), ("discriminator", 0.125)],
    )
    assert [line.label for line in probabilities.lines] == ["on real images", "on fake images"]


def test_the_charts_of_a_classifier() -> None:
    charts = draw_charts(History([10, 20], {"loss": [2.0, 1.0], "accuracy": [0.1, 0.9]}))
    assert [(chart.title, [line.label for line in chart.lines]) for chart in charts] == [
        ("Loss", ["loss"]),
        ("Accuracy", ["accuracy"]),
    ]


def test_a_curve_has_a_point_a_row() -> None:
    (chart,) = draw_charts(History([0, 50, 100], {"accuracy": [0.0, 1.0, 0.0]}))
    (path,) = re.findall(r'<path d="([^"]*)"[^>]*var\(--series-1\)', chart.svg)
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]
    assert len(points) == 3
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=1e-3)
    assert points[0][1] == points[2][1] > points[1][1]  # y grows downwards in SVG


def test_one_row_shows_a_point() -> None:
    (chart,) = draw_charts(History([50], {"accuracy": [0.5]}))
    assert re.search(r"<use [^>]*href=\"#", chart.svg)


def test_no_rows_no_chart() -> None:
    assert draw_charts(History([], {"accuracy": []})) == []


def test_nothing_of_the_machine_or_the_clock(tmp_path: Path) -> None:
    """Another process, another date, another matplotlibrc: the same bytes."""
    (tmp_path / "matplotlibrc").write_text(
        "lines.linewidth: 9\nsvg.fonttype: path\nlines.linestyle: --\naxes.linewidth: 7\n"
    )
    program = (
        "from reprogan.report.curves import draw_charts\nfrom reprogan.report.contents import History\n"
        f"print(''.join(c.svg for c in draw_charts({GAN!r})), end='')"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "MATPLOTLIBRC": str(tmp_path), "PATH": "",
            "SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "7", "HOME": str(tmp_path),
        },
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert found.stdout == "".join(chart.svg for chart in draw_charts(GAN))


def test_the_page_gives_colours_and_fonts() -> None:
    for chart in draw_charts(GAN):
        assert not re.search(r"#[0-9a-f]{6}\b|font-family|<style|<metadata|xmlns| id=\"(?!m|p)", chart.svg)
        assert "<text" in chart.svg


def test_a_column_name_is_escaped() -> None:
    (chart,) = draw_charts(History([1, 2], {'<b>"x': [1.0, 2.0]}))
    assert "<b>" not in chart.svg and "&lt;b&gt;&quot;x" in chart.svg
