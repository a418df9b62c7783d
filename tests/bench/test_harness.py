"""What `reprogan bench` makes of figures: topics, tables, exponents, and the page, which says what was measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprogan.bench import growth, harness, scores, training
from reprogan.bench.measure import Row, in_a_process, spread, table
from reprogan.config import load
from reprogan.errors import UserError

ROOT = Path(__file__).parents[2]
PARAMS = load(ROOT / "params.yaml")
ROW = {
    "variant": "gan", "isa": "native", "batch_size": 64, "ours": 60_000.0, "plain": 10_000.0, "ratio": 6.0,
    "ratios": [5.5, 6.0, 6.25], "ours_mib": 600.0, "plain_mib": 800.0, "operations": 1.5e6, "ceiling": 4.5e11,
    "ceiling_of": "product", "share": 0.2, "reading": 0.01,
    "profile": {"products": 0.5, "other kernels": 0.3, "copies": 0.05, "between kernels": 0.15},
}  # fmt: skip


def test_words_are_topics_or_variants():
    assert harness.topics_of((), PARAMS) == (tuple(harness.TOPICS), ())
    assert harness.topics_of(("gan", "vae"), PARAMS) == (("training",), ("gan", "vae"))
    assert harness.topics_of(("data", "start"), PARAMS) == (("data", "start"), ())
    with pytest.raises(UserError, match="found 'speed'; expected one of ceilings, "):
        harness.topics_of(("gan", "speed"), PARAMS)


def test_a_training_is_a_line_of_rates_and_one_of_where_the_time_goes():
    rates, where = (part.splitlines()[-1] for part in training.markdown([ROW]).split("\n\n"))
    assert rates == (
        "| `gan` | native | 64 | 60,000 | 10,000 | 6.00 (5.50–6.25) | 1.5 | 90 | 20% (product) | 600 / 800 |"
    )
    assert where == "| `gan` | native | products 50%, other kernels 30%, between kernels 15% | 1.0% |"


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_an_exponent_is_the_power_that_something_grows_by(power):
    sizes = [10, 100, 1_000, 10_000]
    assert growth.exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_a_table_and_a_range():
    assert table(("a", "b"), [(1, "x")]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"
    assert spread([3.0, 1.0, 2.0], ".1f") == "(1.0–3.0)"


def test_a_measurement_that_fails_says_why_in_one_line():
    with pytest.raises(UserError, match=r"^bench: reprogan.bench.nothing 1 failed: .*No module named.*$"):
        in_a_process("reprogan.bench.nothing", "1")


def test_without_the_other_sides_nothing_is_measured(monkeypatch):
    """`scoring` is the last topic: what it needs is looked for before the first."""
    options = harness.Options((), None, 1, ("native",))
    monkeypatch.setattr(scores, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^bench: scoring: found no torchmetrics; .* run `make setup-test`$"):
        next(harness.measure(("ceilings", "scoring"), PARAMS, options, "reprogan bench"))


def test_what_was_measured_is_kept_though_the_next_topic_fails(tmp_path):
    (tmp_path / "docs").mkdir()
    figures = json.loads((ROOT / harness.FIGURES).read_text())
    (tmp_path / harness.FIGURES).write_text(json.dumps(figures))
    ceilings = figures["ceilings"] | {"rows": [{"isa": "native", "product": 1e12, "convolution": 2e12, "copy": 3e10}]}

    def found() -> Iterator[tuple[str, Row]]:
        yield "ceilings", ceilings
        raise UserError("bench: no disk")

    with pytest.raises(UserError):
        harness.kept(found(), tmp_path, write=True)
    assert json.loads((tmp_path / ".reprogan/bench.json").read_text()) == {"ceilings": ceilings}
    assert json.loads((tmp_path / harness.FIGURES).read_text()) == figures | {"ceilings": ceilings}


def test_the_page_is_that_of_the_figures_beside_it():
    figures = json.loads((ROOT / harness.FIGURES).read_text())
    assert set(figures) == set(harness.TOPICS)
    assert (ROOT / harness.PAGE).read_text() == harness.page(figures)
    assert {row["variant"] for row in figures["training"]["rows"]} == set(PARAMS.variants)


def test_what_is_measured_takes_the_place_of_what_was(tmp_path):
    (tmp_path / "docs").mkdir()
    figures = json.loads((ROOT / harness.FIGURES).read_text())
    (tmp_path / harness.FIGURES).write_text(json.dumps(figures))
    made = figures["ceilings"]["made"] | {"commit": "abcdef0", "rounds": 1}
    rows = [{"isa": "native", "product": 1e12, "convolution": 2e12, "copy": 3e10}]
    harness.write_page(tmp_path, {"ceilings": {"made": made, "rows": rows}})
    written = json.loads((tmp_path / harness.FIGURES).read_text())
    assert written["ceilings"]["rows"] == rows and written["training"] == figures["training"]
    page = (tmp_path / harness.PAGE).read_text()
    assert "at commit abcdef0" in page and "| native | 1,000 | 2,000 | 30.0 |" in page
