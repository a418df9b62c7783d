"""The commands of `reprogan` that score, show scores and compare: score, summary, compare, seeds, bench."""

import json
import sys
from pathlib import Path

import click

from reprogan.commands import HERE, JSON, in_repository
from reprogan.config import ENCODERS, Parameters
from reprogan.errors import UserError


@click.command()
@click.argument("file", type=HERE)
@click.option("--against", required=True, metavar="NAME", help="A block of `references` in params.yaml: digits, faces.")
@JSON
@in_repository
def score(params: Parameters, file: Path, against: str, json_: bool) -> None:
    """Score the images in FILE, whatever made them: a folder or .zip of pictures, a .npy or an .h5 file.

    As `evaluate` scores a variant's: the same images get the same scores.
    """

    from reprogan.score_file import score_file  # torch may load now: the instruction set is pinned

    scores = score_file(file, against, params, Path.cwd())
    if json_:
        click.echo(json.dumps(scores, indent=2, sort_keys=True))
    else:
        from reprogan.tables import score_table, show

        show(score_table(file.name, scores))


@click.command()
@JSON
@in_repository
def summary(params: Parameters, json_: bool) -> None:
    """Print each variant's scores and speed, and where the report and the MLflow UI are."""
    from reprogan.summary import as_json, grouped, rows
    from reprogan.tables import show, summary_table

    found = rows(params, Path.cwd())
    if json_:
        click.echo(as_json(found))
    else:
        show(*(part for group in grouped(found) for part in (summary_table(group), "")))
        click.echo("report: report/index.html\nMLflow UI: make ui, then http://127.0.0.1:5000")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@JSON
@in_repository
def compare(params: Parameters, a: str, b: str, json_: bool) -> None:
    """Print which parameters of A and B differ, and whether B's scores are better than A's beyond chance.

    Each is VARIANT or, of another revision than the workspace, VARIANT@REVISION: reprogan compare dcgan@HEAD~1 dcgan
    """
    from reprogan.comparison import compare as compare_sides
    from reprogan.tables import comparison_json, comparison_parts, show
    from reprogan.versions import read_side

    found = compare_sides(read_side(a, Path.cwd()), read_side(b, Path.cwd()))
    show(*([comparison_json(found)] if json_ else comparison_parts(found)))


@click.command()
@click.argument("what", nargs=-1)
@click.option("--images", type=click.IntRange(1), help="Of a measurement of a training; default: some seconds' worth.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Turns of the two sides.")
@click.option("--isa", type=click.Choice(["native", "avx2"]), help="One instruction set instead of both.")
@click.option("--write", is_flag=True, help="Write what was measured to docs/benchmarks.md; goes with whole topics.")
@JSON
@in_repository
def bench(
    params: Parameters,
    what: tuple[str, ...],
    images: int | None,
    rounds: int,
    isa: str | None,
    write: bool,
    json_: bool,
) -> None:
    """Time this project against the loops people run and against what the machine can do.

    WHAT: topics (ceilings, training, kernels, data, start, tracking, growth, scoring), or variants, whose training is
    timed. Without WHAT: everything, which takes hours.
    """
    from reprogan.bench import harness

    topics, variants = harness.topics_of(what, params)
    if write and variants:
        raise UserError(f"bench: --write with {variants[0]}; expected whole topics, of which it keeps the figures")
    options = harness.Options(variants, images, rounds, (isa,) if isa else ("native", "avx2"))
    found = harness.measure(topics, params, options, " ".join(["reprogan bench", *sys.argv[2:]]))
    measured = harness.kept(found, Path.cwd(), write)
    click.echo(json.dumps(measured, indent=1) if json_ else harness.markdown(measured))


@click.command()
@click.argument("variants", nargs=-1)
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(min=0), help="A seed of the training; repeatable.")
@JSON
@in_repository
def seeds(params: Parameters, variants: tuple[str, ...], seeds: tuple[int, ...], json_: bool) -> None:
    """Train variants from other seeds, beside the pipeline, and print how far their scores spread.

    All but classifiers, or those named; from seeds 1, 2 and 3 unless told otherwise.
    """
    from reprogan.bench.seeds import as_json, markdown, outcomes

    names = variants or tuple(name for name in params.variants if params.variant(name).system not in ENCODERS)
    for name in names:
        params.variant(name)
    found = {name: outcomes(params, Path.cwd(), name, seeds or (1, 2, 3)) for name in names}
    click.echo(as_json(found) if json_ else markdown(found))
