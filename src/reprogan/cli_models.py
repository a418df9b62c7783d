"""The commands of `reprogan` about models and their origin: promote, rollback, lineage, verify, serve, hook."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from reprogan.commands import JSON, in_repository
from reprogan.config import Parameters
from reprogan.entry import repository_root
from reprogan.errors import UserError

HELD, REFUSED, DIFFERENT = 3, 4, 5
"""Exit statuses: the challenger was not better; a floor is broken; what was made again is not the same."""


@click.command()
@click.argument("variant")
@click.option("--metric", default="frechet_distance", show_default=True, help="The score to decide by.")
@click.option("--min-effect", type=click.FloatRange(min=0), help="Least difference.  [default: 2 % of the champion's]")
@click.option("--sets", default=5, show_default=True, type=click.IntRange(min=1), help="Sample sets of each.")
@click.option("--count", type=click.IntRange(min=100), help="Images a set.  [default: sampling.count]")
@JSON
@in_repository
def promote(
    params: Parameters,
    variant: str,
    metric: str,
    min_effect: float | None,
    sets: int,
    count: int | None,
    json_: bool,
) -> None:
    """Make the challenger of VARIANT the champion, if it is better beyond chance and breaks no floor.

    Both draw fresh samples. Exit status 0: promoted; 3: held; 4: refused.
    """
    from reprogan.tracking.promotion import Asked, promote as decide  # noqa: I001

    decision = decide(params, Path.cwd(), variant, Asked(metric, min_effect, sets, count))
    click.echo(json.dumps(asdict(decision), indent=2) if json_ else f"{variant}: {decision.in_words()}")
    if decision.outcome != "promoted":
        sys.exit(HELD if decision.outcome == "held" else REFUSED)


@click.command()
@click.argument("variant")
@click.option("--reason", default="taken back", show_default=True, help="Why, for the record.")
@in_repository
def rollback(params: Parameters, variant: str, reason: str) -> None:
    """Make the champion of VARIANT again who was it before, as promotions.jsonl says."""
    from reprogan.tracking.promotion import rollback as go_back

    params.variant(variant)
    click.echo(f"{variant}: {go_back(Path.cwd(), variant, reason).in_words()}")


@click.command()
@click.argument("model")
@JSON
@in_repository
def lineage(params: Parameters, model: str, json_: bool) -> None:
    """Print everything that MODEL was made by, back to the sources, and how to make it again.

    MODEL is models:/NAME@ALIAS, models:/NAME/VERSION, a run's id, a file of weights, a variant or a stage.
    """
    from reprogan.tracking.lineage import lineage as find

    found = find(params, Path.cwd(), repository_root(), model)
    if json_:
        click.echo(found.as_json())
    else:
        from reprogan.origin_tables import lineage_lines

        click.echo("\n".join(lineage_lines(found)))


@click.command()
@click.argument("stages", metavar="[STAGE...|MODEL]", nargs=-1)
@click.option("--prefix", type=click.IntRange(min=1), metavar="N", help="Trainings alone, and their first N images.")
@JSON
@in_repository
def verify(params: Parameters, stages: tuple[str, ...], prefix: int | None, json_: bool) -> None:
    """Run stages again in a clean clone and compare what they put out with dvc.lock.

    STAGE is one of dvc.lock at the last commit, as train@gan (none: all of them). MODEL is models:/NAME@ALIAS: its
    training, at its commit. Exit status 0: the same bytes; 5: not.
    """
    from reprogan.training.environment import environment
    from reprogan.verify.verify import environment_differences
    from reprogan.verify.verify import verify as check

    commit, names, recorded = _what_to_verify(stages)
    different = environment_differences(recorded, environment(params.compute)) if recorded else []
    found = check(Path.cwd(), commit, names, prefix, different)
    if json_:
        click.echo(found.as_json())
    else:
        from reprogan.origin_tables import verified_parts
        from reprogan.tables import show

        show(*verified_parts(found))
    if not found.equal:
        sys.exit(DIFFERENT)


def _what_to_verify(asked: tuple[str, ...]) -> tuple[str, list[str], dict[str, str]]:
    """The commit, its stages and, of a model, the environment that its training recorded."""
    from reprogan.tracking.provenance import COMMIT, DIRTY, git_commit
    from reprogan.tracking.run import environment_of, find_run

    models = [name for name in asked if name.startswith("models:")]
    if models and len(asked) > 1:
        raise UserError(f"{' '.join(asked)}: expected one model, or stages")
    if models:
        from reprogan.tracking.fetch import find_version
        from reprogan.tracking.store import connect, expect_store

        expect_store(repository_root())
        with connect(repository_root()) as tracking:
            version = find_version(tracking, models[0])
            tags, run = version.tags, find_run(tracking, version.run_id)
        if tags.get(DIRTY) != "false":
            raise UserError(
                f"{models[0]}: no clean commit is known to hold it; expected one; commit dvc.lock, then run "
                "`reprogan publish`"
            )
        return tags[COMMIT], [tags["dvc.stage"]], environment_of(run) if run else {}
    found = git_commit(Path.cwd())
    if not found:
        raise UserError(f"{Path.cwd()}: no git repository with a commit; expected one: what is verified is a commit")
    return found[COMMIT], list(asked), {}


@click.command()
@click.argument("model")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535))
@in_repository
def serve(params: Parameters, model: str, port: int) -> None:
    """Serve a model over HTTP by MLflow's own server, on the loopback interface, until it is interrupted.

    MODEL is models:/NAME@ALIAS or models:/NAME/VERSION, or a variant: its champion or, without one, its challenger.
    """
    from reprogan.tracking.serve import serve_model

    serve_model(params, repository_root(), model, port)


@click.command()
@click.option("--install", is_flag=True, help="Put it into this repository's hooks.")
@in_repository
def hook(params: Parameters, install: bool) -> None:
    """Print a git hook that publishes after each commit, so that MLflow knows which commit holds which model."""
    from reprogan.tracking.hook import SCRIPT, install_hook

    if install:
        click.echo(f"{install_hook(Path.cwd())}: installed; remove the file to be rid of it")
    else:
        click.echo(SCRIPT, nl=False)
