"""The commands of `reprogan` for machines that retrain: retrain, stale."""

import json
import sys
from pathlib import Path

import click

from reprogan.commands import JSON, in_repository
from reprogan.config import Parameters, load
from reprogan.errors import UserError

CHANGED = 6
"""Exit status: dvc.lock is not what parameters, code and data say."""


@click.command()
@click.argument("variants", nargs=-1)
@click.option("--profile", "profile_", metavar="NAME", help="Apply profiles/NAME.yaml first.")
@click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True, help="Set keys of params.yaml first.")
@click.option("--dry-run", is_flag=True, help="Only say what is out of date.")
@click.option("--train-only", is_flag=True, help="Train, score and store VARIANTS: one of several machines.")
@click.option("--promote/--no-promote", default=True, help="Decide who is the champion.  [default: promote]")
@click.option("--commit", is_flag=True, help="Commit dvc.lock, params.yaml, metrics and promotions.jsonl.")
@click.option("--push", metavar="REMOTE", help="Push that commit to the branch there; implies --commit.")
@JSON
@in_repository
def retrain(
    params: Parameters,
    variants: tuple[str, ...],
    profile_: str | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    train_only: bool,
    promote: bool,
    commit: bool,
    push: str | None,
    json_: bool,
) -> None:
    """Make again what a commit has put out of date, or VARIANTS of it: fetch, train, publish, promote, store, report.

    Stopped anywhere, it goes on from there when it is run again, on another machine too. What it did is in retrain.md.
    """
    from reprogan.profile import apply_profile, set_values
    from reprogan.retrain.retrain import Asked
    from reprogan.retrain.retrain import retrain as make_again

    if train_only and (not variants or commit or push):
        raise UserError("--train-only: expected VARIANTS, and neither --commit nor --push: one machine gathers")
    if profile_ is not None:
        apply_profile(profile_, Path.cwd())
    if assignments:
        set_values(assignments, Path.cwd())
    if profile_ is not None or assignments:
        params = load()
    asked = Asked(variants, dry_run, train_only, promote, commit or push is not None, push)
    outcome = make_again(params, Path.cwd(), asked)
    if json_:
        click.echo(
            json.dumps(
                {
                    "title": outcome.title(),
                    "trained": outcome.trained,
                    "restored": [one.stage for one in outcome.ran if one.restored],
                    "ran": {one.stage: one.seconds for one in outcome.ran if not one.restored},
                    "decisions": {name: outcome.decided(name) for name in outcome.decisions},
                },
                indent=2,
            )
        )
    else:
        click.echo(outcome.title())


@click.command()
@click.argument("variants", nargs=-1)
@JSON
@in_repository
def stale(params: Parameters, variants: tuple[str, ...], json_: bool) -> None:
    """Say what dvc.lock does not hold: stages that parameters, code or data have changed, and what comes after them.

    With VARIANTS, the lists of what is to be trained hold only what these need.

    Exit status 0: nothing has changed, though outputs may not be here; 6: something has.
    """
    from reprogan.retrain.stale import find_stale, lines

    for name in variants:
        params.variant(name)
    found = find_stale(params, Path.cwd(), variants)
    if json_:
        click.echo(
            json.dumps(
                {
                    "changed": {name: list(why) for name, why in found.changed.items()},
                    "after": list(found.after),
                    "missing": list(found.missing),
                    "shared": list(found.shared),
                    "apart": list(found.apart),
                }
            )
        )
    else:
        click.echo("\n".join(lines(found)))
    if found.changed:
        sys.exit(CHANGED)
