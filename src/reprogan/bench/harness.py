"""The topics of `reprogan bench`, what they measured, and the page that is written of it."""

import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reprogan.atomic import write_atomically
from reprogan.bench import ceilings, data, growth, kernels, scores, start, tracking, training
from reprogan.bench.measure import Row
from reprogan.config import Parameters
from reprogan.errors import UserError

FIGURES, PAGE = Path("docs/benchmarks.json"), Path("docs/benchmarks.md")
_TEMPLATE = Path(__file__).parent / "benchmarks.md.jinja"


@dataclass(frozen=True)
class Options:
    """What is to be measured, and how."""

    variants: tuple[str, ...]  # none: all
    images: int | None  # of a measurement of a training; None: some seconds' worth
    rounds: int
    isas: tuple[str, ...]


class Topic(NamedTuple):
    """How a topic is measured and shown."""

    rows: Callable[[Parameters, Options], list[Row]]
    markdown: Callable[[list[Row]], str]
    check: Callable[[Parameters, Options], None] = lambda params, options: None
    """Raises UserError where something that it needs is not there."""


TOPICS = {
    "ceilings": Topic(lambda params, options: ceilings.rows(params, options.isas), ceilings.markdown),
    "training": Topic(
        lambda params, options: training.rows(params, options.variants, options.images, options.rounds, options.isas),
        training.markdown,
        lambda params, options: training.check(params, options.variants),
    ),
    "kernels": Topic(lambda params, options: kernels.rows(options.isas), kernels.markdown),
    "data": Topic(lambda params, options: data.rows(params), data.markdown),
    "start": Topic(lambda params, options: start.rows(params, options.rounds), start.markdown),
    "tracking": Topic(lambda params, options: tracking.rows(params, options.rounds), tracking.markdown),
    "growth": Topic(lambda params, options: growth.rows(params), growth.markdown),
    "scoring": Topic(
        lambda params, options: scores.rows(params, options.rounds),
        scores.markdown,
        lambda params, options: scores.check(),
    ),
}


def topics_of(what: Sequence[str], params: Parameters) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topics and the variants that words name; a variant alone means its training, and no word everything.

    Raises UserError for a word that is neither.
    """
    if unknown := [word for word in what if word not in TOPICS and word not in params.variants]:
        known = f"one of {', '.join(TOPICS)}, or variants: {', '.join(params.variants)}"
        raise UserError(f"bench: found {unknown[0]!r}; expected {known}")
    variants = tuple(word for word in what if word not in TOPICS)
    topics = tuple(word for word in what if word in TOPICS) or (("training",) if variants else tuple(TOPICS))
    return topics, variants


def measure(topics: Sequence[str], params: Parameters, options: Options, command: str) -> Iterator[tuple[str, Row]]:
    """Each topic once it is measured: its name, its rows and what made them.

    Raises UserError, before the first, where something that one of them needs is not there.
    """
    for name in topics:
        TOPICS[name].check(params, options)
    for name in topics:
        yield name, {"made": _made(params, options, command), "rows": TOPICS[name].rows(params, options)}


def kept(found: Iterable[tuple[str, Row]], root: Path, write: bool) -> dict[str, Row]:
    """{topic: what was measured}, each kept in `root` at once, for the next may fail after half an hour.

    All of them in .reprogan/bench.json and, to `write`, on the page.
    """
    measured: dict[str, Row] = {}
    for name, of_topic in found:
        measured[name] = of_topic
        write_atomically(root / ".reprogan/bench.json", json.dumps(measured, indent=1))
        if write:
            write_page(root, {name: of_topic})
    return measured


def markdown(measured: dict[str, Row]) -> str:
    """What was measured as tables, each headed by what made it."""
    return "\n".join(_section(name, found) for name, found in measured.items())


def write_page(root: Path, measured: dict[str, Row]) -> None:
    """Keep what was measured in docs/benchmarks.json, in place of what was there of these topics; write the page."""
    figures = json.loads((root / FIGURES).read_text(encoding="utf-8")) if (root / FIGURES).is_file() else {}
    figures |= measured
    write_atomically(root / FIGURES, json.dumps(figures, indent=1, sort_keys=True) + "\n")
    write_atomically(root / PAGE, page(figures))


def page(figures: dict[str, Row]) -> str:
    """docs/benchmarks.md of the figures in docs/benchmarks.json."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    of = {name: f"Not measured yet: `reprogan bench {name} --write`.\n" for name in TOPICS}
    return template.render(of=of | {name: _section(name, found) for name, found in figures.items()})


def _section(name: str, found: Row) -> str:
    made = found["made"]
    head = (
        f"`{made['command']}` at commit {made['commit']}, {made['processor']}, {made['threads']} threads, torch "
        f"{made['torch']}, Python {made['python']}"
    )
    rounds = f"; medians of {made['rounds']} rounds, and their range" if made["rounds"] > 1 else ""
    return f"{head}{rounds}.\n\n{TOPICS[name].markdown(found['rows'])}"


def _made(params: Parameters, options: Options, command: str) -> Row:
    import torch

    from reprogan.training.device import cpu_name

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "command": command,
        "commit": commit or "unknown",
        "processor": cpu_name(),
        "threads": params.compute.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "rounds": options.rounds,
    }
