"""The command `reprogan`."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from reprogan import cli_models, cli_retrain, cli_scores
from reprogan.commands import HERE, JSON, in_repository
from reprogan.config import Parameters, load
from reprogan.entry import checkout_root, exit_status, pin_instruction_set, repository_root
from reprogan.parent import STOP_WITH_PARENT, stop_with_parent


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reprogan")
def main() -> None:
    """Train, sample, evaluate and publish the GANs of the classic curriculum, reproducibly."""


@main.command()
@click.option("--fall-back-offline", is_flag=True, help="Have params.yaml ask for no more than can be had here.")
@JSON
@in_repository
def doctor(params: Parameters, fall_back_offline: bool, json_: bool) -> None:
    """Say what this machine offers and whether the pipeline can run here."""
    from reprogan import doctor as examination
    from reprogan.check import check_blocks

    check_blocks(params)
    findings = examination.examine(params, Path.cwd(), os.environ)
    click.echo(examination.as_json(findings) if json_ else examination.lines(findings))
    told = sys.stderr if json_ else sys.stdout
    if not examination.page_can_be_made(findings) and fall_back_offline:
        examination.without_libraries(Path.cwd(), told)
    if not examination.data_can_be_had(findings):
        if fall_back_offline and params.digits.source == "mnist":
            examination.fall_back_offline(Path.cwd(), told)
        else:
            raise examination.nothing_serves(params)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("-j", "--jobs", type=click.IntRange(1), default=1)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def repro(jobs: int, arguments: tuple[str, ...]) -> None:
    """As `dvc repro`, and faster: torch is loaded once for all stages. Takes what that takes.

    With -j N, so many stages run side by side where none needs the other; then -f and targets may be given.
    """
    from reprogan import warm

    found: warm.Stage | int = 0

    def start() -> None:
        nonlocal found
        os.chdir(checkout_root())
        if os.environ.pop(STOP_WITH_PARENT, None):
            stop_with_parent()
        pin_instruction_set(load().compute)
        found = warm.repro(list(arguments), jobs)

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
@in_repository
def inception(params: Parameters, file: Path) -> None:
    """Make the extractor `inception` of its weights in FILE, for scores that compare with published ones."""
    from reprogan.weights import import_inception

    folder = import_inception(file, Path.cwd())
    click.echo(f"{folder.relative_to(Path.cwd())}: done; name it in `references` and in the variants of these")


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
@click.option("--revision", help="Publish what this commit, branch or tag holds, not this checkout.")
@in_repository
def publish(params: Parameters, variants: tuple[str, ...], revision: str | None) -> None:
    """Make MLflow say what DVC holds, for all variants or those named. Twice in a row adds nothing."""
    from reprogan.progress import tracked
    from reprogan.tracking.publish import publish as publish_variants
    from reprogan.tracking.revision import publish_revision

    def watch(names: list[str]) -> Iterator[str]:
        return tracked(names, len(names), "publishing")

    if revision is not None:
        found = publish_revision(Path.cwd(), revision, variants, watch)
    else:
        for name in variants:
            params.variant(name)
        found = publish_variants(params, Path.cwd(), list(variants) or None, watch)
    for published in found:
        click.echo(published)


@main.command()
@click.argument("variant")
@click.option("--count", default=16, show_default=True, type=click.IntRange(1, 10_000), help="Images that are drawn.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Another seed, other images.")
@click.option("--class", "class_", metavar="NAME", help="Of a conditional model: this class alone.")
@click.option("--text", help="Of a model that reads captions: what is to be seen.")
@click.option("--image", type=HERE, help="Of a model that translates: the picture.")
@click.option("--walk", metavar="A:B", help="From A to B: classes, captions, or numbers of images, from 0.")
@click.option("--out", type=HERE, help="The .png, .gif or .h5 file.  [default: VARIANT.png in the repository]")
@in_repository
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
@click.option("--port", default=5000, show_default=True)
@in_repository
def ui(params: Parameters, port: int) -> None:
    """Open the MLflow UI over the tracking store, on the loopback interface."""
    from reprogan.tracking.ui import serve_ui

    serve_ui(Path.cwd(), port)


_COMMANDS = (
    cli_scores.score, cli_scores.summary, cli_scores.compare, cli_scores.bench, cli_scores.seeds,
    cli_models.promote, cli_models.rollback, cli_models.lineage, cli_models.verify, cli_models.serve, cli_models.hook,
    cli_retrain.retrain, cli_retrain.stale,
)  # fmt: skip
for _command in _COMMANDS:
    main.add_command(_command)

if __name__ == "__main__":
    main()
