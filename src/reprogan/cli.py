"""The command `reprogan`."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import click

from reprogan.config import ENCODERS, Parameters, load
from reprogan.entry import checkout_root, exit_status, pin_instruction_set, repository_root

_HERE = click.Path(path_type=Path, resolve_path=True)
"""A path that the caller gives from where they are, not from the repository's root."""


def _in_repository(work: Callable[..., None]) -> Callable[..., None]:
    """Run a command from the repository root with checked parameters; the user's mistakes become one line."""

    @wraps(work)
    def command(**arguments: Any) -> None:
        def start() -> None:
            os.chdir(checkout_root())
            params = load()
            pin_instruction_set(params.compute)
            work(params, **arguments)

        sys.exit(exit_status(start))

    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reprogan")
def main() -> None:
    """Train, sample, evaluate and publish the GANs of the classic curriculum, reproducibly."""


@main.command()
@click.option("--fall-back-offline", is_flag=True, help="Where nothing serves the digits, apply the profile offline.")
@_in_repository
def doctor(params: Parameters, fall_back_offline: bool) -> None:
    """Say what this machine offers and whether the pipeline can run here."""
    from reprogan import doctor as examination
    from reprogan.check import check_blocks

    check_blocks(params)
    findings = examination.examine(params, Path.cwd(), os.environ)
    for finding in findings:
        click.echo(f"{'ok ' if finding.good else 'no '} {finding.subject:8} {finding.found}")
    if not examination.data_can_be_had(findings):
        if fall_back_offline and params.digits.source == "mnist":
            examination.fall_back_offline(Path.cwd())
        else:
            raise examination.nothing_serves(params)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def repro(arguments: tuple[str, ...]) -> None:
    """As `dvc repro`, and faster: torch is loaded once for all stages. Takes what that takes."""
    from reprogan import warm

    found: warm.Stage | int = 0

    def start() -> None:
        nonlocal found
        os.chdir(checkout_root())
        pin_instruction_set(load().compute)
        found = warm.repro(list(arguments))

    status = exit_status(start)
    if isinstance(found, warm.Stage):
        found.run()
    else:
        sys.exit(found or status)


@main.command()
@click.argument("name")
def profile(name: str) -> None:
    """Merge profiles/NAME.yaml into params.yaml, keeping its comments."""

    def start() -> None:
        from reprogan.profile import apply_profile

        changes = apply_profile(name, checkout_root())
        for change in changes:
            click.echo(change)
        click.echo(f"params.yaml: profile {name}, {len(changes)} values changed; `dvc repro` runs what that changes")

    sys.exit(exit_status(start))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_in_repository
def inception(params: Parameters, file: Path) -> None:
    """Make the extractor `inception` of its weights in FILE, for scores that compare with published ones."""
    from reprogan.weights import import_inception

    folder = import_inception(file, Path.cwd())
    click.echo(f"{folder.relative_to(Path.cwd())}: done; name it as a variant's extractor and extractor_architecture")


@main.command(name="set")
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
def set_(assignments: tuple[str, ...]) -> None:
    """Set keys of params.yaml, keeping its comments: reprogan set faces.source=/home/me/pictures."""

    def start() -> None:
        from reprogan.profile import set_values

        for change in set_values(assignments, checkout_root()):
            click.echo(change)

    sys.exit(exit_status(start))


@main.command()
@click.argument("variants", nargs=-1)
@_in_repository
def publish(params: Parameters, variants: tuple[str, ...]) -> None:
    """Make MLflow say what DVC holds, for all variants or those named. Twice in a row adds nothing."""
    from reprogan.tracking.publish import publish as publish_variants

    for name in variants:
        params.variant(name)
    for published in publish_variants(params, Path.cwd(), list(variants) or None):
        click.echo(published)


@main.command()
@click.argument("variant")
@click.option("--count", default=16, show_default=True, type=click.IntRange(1, 10_000), help="Images that are drawn.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Another seed, other images.")
@click.option("--class", "class_", metavar="NAME", help="Of a conditional model: this class alone.")
@click.option("--text", help="Of a model that reads captions: what is to be seen.")
@click.option("--image", type=_HERE, help="Of a model that translates: the picture.")
@click.option("--walk", metavar="A:B", help="From A to B: classes, captions, or numbers of images, from 0.")
@click.option("--out", type=_HERE, help="The .png, .gif or .h5 file.  [default: VARIANT.png in the repository]")
@_in_repository
def sample(
    params: Parameters,
    variant: str,
    count: int,
    seed: int,
    class_: str | None,
    text: str | None,
    image: Path | None,
    walk: str | None,
    out: Path | None,
) -> None:
    """Draw images from the trained VARIANT and write them as one picture, one after another (.gif) or as data (.h5).

    VARIANT may also be a model of MLflow: models:/NAME@ALIAS or models:/NAME/VERSION. The same seed draws the same
    images: those of `samples/VARIANT` are the first of its own. They are numbered from 0, row by row. A walk leads from
    one of them to another; of a model that is told classes, or captions, from one class or caption to another, unless
    --class or --text says which it is all the way.
    """
    from reprogan.models import trained  # torch may load now: the instruction set is pinned
    from reprogan.sampling.answer import write_answer
    from reprogan.sampling.asked import Asked
    from reprogan.training.device import set_up_device

    files: AbstractContextManager[Path] = nullcontext(Path("models") / variant)
    if variant.startswith("models:"):
        from reprogan.tracking.fetch import fetched

        files = fetched(repository_root(), variant)
    else:
        params.variant(variant)
    with files as folder:
        model = trained.load(folder, set_up_device(params.compute))
    out = out or Path(f"{model.description.variant}.png")
    for line in write_answer(model, Asked(count, seed, class_, text, image, walk), out):
        click.echo(line)


@main.command()
@_in_repository
def summary(params: Parameters) -> None:
    """Print each variant's scores and speed, and where the report and the MLflow UI are."""
    from rich.console import Console
    from rich.table import Table

    from reprogan.summary import rows

    table = Table(title="ReproGAN")
    for heading in ("variant", "data", "images seen", "scores", "images/s"):
        table.add_column(heading, justify="right" if heading.startswith("images") else "left")
    for row in rows(params, Path.cwd()):
        table.add_row(row.variant, row.data, row.images_seen, row.scores, row.speed)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    click.echo("report: report/index.html\nMLflow UI: make ui, then http://127.0.0.1:5000")


@main.command()
@click.option("--port", default=5000, show_default=True)
@_in_repository
def ui(params: Parameters, port: int) -> None:
    """Open the MLflow UI over the tracking store, on the loopback interface."""
    from reprogan.tracking.ui import serve_ui

    serve_ui(Path.cwd(), port)


@main.command()
@click.argument("variants", nargs=-1)
@click.option(
    "--images", default=None, type=click.IntRange(min=1), help="Images a measurement, instead of the default."
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Measurements of each side.")
@click.option("--isa", default=None, type=click.Choice(["native", "avx2"]), help="One instruction set, not both.")
@_in_repository
def bench(params: Parameters, variants: tuple[str, ...], images: int | None, rounds: int, isa: str | None) -> None:
    """Time our training against plain, well-written loops of the same networks, side by side."""
    from reprogan.atomic import write_atomically
    from reprogan.bench.harness import as_json, markdown, run_benchmarks

    for name in variants:
        params.variant(name)
    results = run_benchmarks(params, Path.cwd(), variants, images, rounds, (isa,) if isa else ("native", "avx2"))
    write_atomically(Path(".reprogan/bench.json"), as_json(results))
    click.echo(markdown(results, params, " ".join(["reprogan bench", *sys.argv[2:]])))


@main.command()
@click.argument("variants", nargs=-1)
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(min=0), help="A seed of the training; repeatable.")
@_in_repository
def seeds(params: Parameters, variants: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Train variants from other seeds, beside the pipeline, and print how far their scores spread.

    All but classifiers, or those named; from seeds 1, 2 and 3 unless told otherwise.
    """
    from reprogan.bench.seeds import markdown, outcomes

    names = variants or tuple(name for name in params.variants if params.variant(name).system not in ENCODERS)
    for name in names:
        params.variant(name)
    click.echo(markdown({name: outcomes(params, Path.cwd(), name, seeds or (1, 2, 3)) for name in names}))


if __name__ == "__main__":
    main()
