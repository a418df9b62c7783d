"""What `reprogan summary` and `reprogan compare` print: tables for people, and of a comparison its JSON."""

import json
import sys
import textwrap
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reprogan.comparison import MISSING, Compared, Comparison, Difference, Estimate, Side
from reprogan.report.scores import Score, few, figure, shown
from reprogan.summary import READERS, Grouped, Row

SCREEN = 140
"""Columns that tables are made for."""
_GAP = 2
_COLOURS = {"better": "green", "worse": "red"}


def show(*parts: Table | str) -> None:
    """Print tables and lines; where no terminal says how wide it is, SCREEN wide."""
    console = Console(width=None if sys.stdout.isatty() else SCREEN)
    for part in parts:
        if isinstance(part, str):
            print(part, flush=True)
        else:
            console.print(part)


def summary_table(group: Grouped) -> Table:
    """A row a variant: its budget, its speed and its scores; of the first score also how far it spreads, and the floor.

    Its first heading is the name of the data.
    """
    known = sorted({row.data for row in group.rows if row.data})
    name = group.name if group.name == READERS or not known else f"{group.name} ({', '.join(known)})"
    headings = [name, "images seen", "images/s", *(score.title for score in group.scores)]
    if not group.scores:
        headings.append("scores")
    elif any(len(row.scores.get("sets", {})) for row in group.rows):
        headings[3] += "\n± deviation (floor)"
    cells = [_cells(row, group) for row in group.rows]
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, heading in enumerate(_folded(headings, cells)):
        table.add_column(Text(heading), justify="right" if column else "left", vertical="bottom", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _folded(headings: list[str], cells: list[list[str]]) -> list[str]:
    """The headings in as few lines as let the table fit the screen."""
    for lines in range(1, 5):
        folded = [headings[0], *(_in_lines(heading, lines) for heading in headings[1:])]
        widths = [
            max(map(len, (*heading.split("\n"), *column))) for heading, *column in zip(folded, *cells, strict=True)
        ]
        if sum(widths) + _GAP * (len(widths) - 1) <= SCREEN:
            break
    return folded


def _in_lines(heading: str, lines: int) -> str:
    """A heading broken between words into so many lines, as even as that goes; one that is broken already, as it is."""
    if "\n" in heading:
        return heading
    widths = range(max(map(len, heading.split())), len(heading) + 1)
    return next(text for width in widths if (text := textwrap.fill(heading, width)).count("\n") < lines)


def _cells(row: Row, group: Grouped) -> list[str]:
    seen = "not trained" if row.images_seen is None else f"{row.images_seen:,}"
    speed = "" if row.images_per_second is None else f"{row.images_per_second:,.0f}"
    scores = [_cell(score, row.scores, first=not place) for place, score in enumerate(group.scores)] or [""]
    if not row.scores and row.images_seen is not None:
        scores[0] = "not evaluated"
    return [row.variant, seen, speed, *scores]


def _cell(score: Score, scores: dict[str, Any], first: bool) -> str:
    if score.key not in scores:
        return ""
    if score.key == "modes_covered":
        return score.value(scores[score.key]) + (f" of {scores['modes']:,}" if "modes" in scores else "")
    if not first:
        return score.value(scores[score.key])
    floor = score.floor(scores)
    return score.in_words(scores) + ("" if floor is None else f" ({floor:.2g})")


def comparison_parts(found: Comparison) -> list[Table | str]:
    """What to print of a comparison, from top to bottom: parameters, scores, and what they were judged by."""
    notes = [line for side in (found.a, found.b) if (line := _stale(side))]
    lines: list[Table | str] = [_parameters(found) if found.parameters else "the same parameters"]
    if not found.scores:
        return [*lines, *notes, "no score that both have"]
    table = Table(title="Scores", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("score")
    for heading in (found.a.label, found.b.label, "B − A (95 %)"):
        table.add_column(Text(heading), justify="right", overflow="fold")
    table.add_column("B against A")
    for one in found.scores:
        word = one.verdict or "–"
        cells = [estimate_text(one.score, one.a), estimate_text(one.score, one.b), difference_text(one)]
        table.add_row(one.score.title, *cells, Text(word, _COLOURS.get(word, "")))
    return [*lines, table, *notes, judged_by(found)]


def judged_by(found: Comparison) -> str:
    """One line: what chance the intervals are of, or why nothing is judged."""
    if found.unlike:
        what = "; ".join(f"{one.key} {_short(one.a)} and {_short(one.b)}" for one in found.unlike)
        return f"Not comparable, so no verdicts: {what}."
    if found.chance == "training seeds":
        seeds = [", ".join(map(str, side.scores["training"]["seeds"])) for side in (found.a, found.b)]
        return f"± and intervals: 95 %, over training seeds ({seeds[0]} of A; {seeds[1]} of B)."
    few = [side for side in (found.a, found.b) if len(side.scores.get("training", {}).get("seeds", [])) < 2]
    keys = " and ".join(dict.fromkeys(f"variants.{side.variant}.training.seeds" for side in few))
    if found.chance == "sampling seeds":
        return (
            "± and intervals: 95 %, over sampling seeds: the chance of sampling alone. Another training seed may "
            f"change more; to see how much, set {keys}."
        )
    return f"One sample set a side says nothing of chance; to see how much training seeds change, set {keys}."


def comparison_json(found: Comparison) -> str:
    """The same as JSON; a parameter that one side does not have has no key there."""
    return json.dumps(
        {
            "a": _side(found.a),
            "b": _side(found.b),
            "parameters": [_both(one) for one in found.parameters],
            "not_comparable": [_both(one) for one in found.unlike],
            "chance": None if found.chance == "none" else found.chance,
            "scores": [
                {
                    "key": line.score.key,
                    "title": line.score.title,
                    "better": line.score.better,
                    "a": _numbers(line.a),
                    "b": _numbers(line.b),
                    "difference": None if line.difference is None else _numbers(line.difference),
                    "verdict": line.verdict,
                }
                for line in found.scores
            ],
            "judged_by": judged_by(found),
        },
        indent=2,
        default=str,  # dates are values of YAML too
    )


def _parameters(found: Comparison) -> Table:
    table = Table(title="Parameters that differ", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("key", f"A: {found.a.label}", f"B: {found.b.label}"):
        table.add_column(Text(heading), overflow="fold")
    for one in found.parameters:
        table.add_row(*map(Text, (one.key, written(one.a), written(one.b))))
    return table


def written(value: Any) -> str:
    """A parameter's value as text."""
    if value is MISSING:
        return str(MISSING.value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(value: Any) -> str:
    text = "none" if value is MISSING else f"{value:,}" if isinstance(value, int) else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text  # a sha256


def _stale(side: Side) -> str:
    if not side.changed:
        return ""
    return f"{side.label}: {', '.join(side.changed)} changed after these scores were made; `dvc repro` makes them anew."


def estimate_text(score: Score, estimate: Estimate) -> str:
    """A mean and half the width of its interval."""
    spread = "" if estimate.half_width is None else f" ± {_scaled(score, estimate.half_width, 2)}"
    return f"{_scaled(score, estimate.mean)}{spread}{_unit(score)}"


def difference_text(line: Compared) -> str:
    """B − A and its interval; a dash where they cannot be compared."""
    difference = line.difference
    if difference is None:
        return "–"
    low, high = difference.low, difference.high
    sign = "+" if difference.mean > 0 else ""
    between = "" if low is None or high is None else f" ({_scaled(line.score, low)} to {_scaled(line.score, high)})"
    return f"{sign}{_scaled(line.score, difference.mean)}{between}{_unit(line.score)}"


def _scaled(score: Score, value: float, digits: int = 4) -> str:
    """A figure, of a share the hundredths: a mean of counts is no whole number, so these are figures too."""
    value = 100 * value if score.form == "percent" else value
    return figure(float(f"{value:.{digits}g}"))


def _unit(score: Score) -> str:
    return " %" if score.form == "percent" else ""


def _side(side: Side) -> dict[str, Any]:
    variant, _, revision = side.label.partition("@")
    return {"variant": variant, "revision": revision or None, "changed_since_scored": list(side.changed)}


def _both(one: Difference) -> dict[str, Any]:
    return {"key": one.key} | {side: value for side, value in (("a", one.a), ("b", one.b)) if value is not MISSING}


def _numbers(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


def score_table(name: str, scores: dict[str, Any]) -> Table:
    """A row a score: its value, what real images have, which way is better; under it what was compared with what."""
    given = scores.get("n_given", scores["n_fake"])
    chosen = f" of {given:,}, by a seeded permutation," if given > scores["n_fake"] else ""
    caption = (
        f"{scores['n_fake']:,} images{chosen} against {scores['n_real']:,} held-out images of {scores['data']}, "
        f"read by {scores['extractor']} {scores['extractor_sha256'][:12]}"
    )
    if few(scores):
        caption += f"; few images for {scores['feature_dimensions']} feature dimensions: compare with equal counts only"
    if scores.get("dead_features"):
        caption += f"; {scores['dead_features']} of the features are the same for every real image"
    table = Table(title=name, caption=caption, caption_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("real images", justify="right")
    table.add_column("better")
    for score in shown(scores):
        floor = score.floor(scores)
        better = "" if score.better == "neither" else score.better
        table.add_row(score.title, score.in_words(scores), "" if floor is None else score.value(floor), better)
    return table
