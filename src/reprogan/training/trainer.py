"""The training loop: any system, budgets in images, exact resume. It knows no architecture and no tracking."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reprogan.config import Compute, Training
from reprogan.data.batches import Batch, TrainingImages
from reprogan.errors import TrainingDiverged
from reprogan.systems.system import Position, System
from reprogan.training.checkpoint import Checkpoints, State
from reprogan.training.device import autocast
from reprogan.training.digests import Digests
from reprogan.training.ema import WeightAverage
from reprogan.training.history import History
from reprogan.training.progress import Progress
from reprogan.training.randomness import Randomness
from reprogan.training.ranks import ALONE, Ranks
from reprogan.training.schedule import rate_factor
from reprogan.training.stopping import Stopped, stop_requests


@dataclass
class Run:
    """The state of a training: everything here and in the system goes into a checkpoint."""

    averages: dict[str, WeightAverage]
    totals: Tensor  # sums of the losses since the last row of the history, float32 (losses,), on the device
    steps: int  # since the last row
    history: History
    digests: Digests
    previews: dict[int, Tensor]  # images seen => what the system's `preview` gave


@dataclass(frozen=True)
class Result:
    """What a finished training hands on."""

    networks: dict[str, nn.Module]  # averages where they were kept
    previews: dict[int, Tensor]
    images_seen: int
    seconds: float
    images_per_second: float


def train(
    name: str,
    system: System,
    images: TrainingImages,
    training: Training,
    compute: Compute,
    randomness: Randomness,
    checkpoints: Checkpoints,
    run: Run,
    held_out: Batch,
    ranks: Ranks = ALONE,
) -> Result:
    """Train `system` until it has seen the budget of images, going on from the newest checkpoint there is.

    `held_out` are a few images that it does not learn from, for `system.preview`. `ranks` are the processes that train
    it together: each has its part of every batch, the first writes the checkpoints.
    Raises TrainingDiverged within one log interval of a loss or weight that is not finite, Stopped (after writing a
    checkpoint) on SIGTERM or SIGINT, and OSError when a checkpoint cannot be written.
    """
    images_seen = 0
    if newest := ranks.newest(checkpoints):
        images_seen, state = newest
        _restore(state, system, run)
    last_checkpoint = images_seen
    budget = training.images
    part = training.batch_size // ranks.size

    def next_batch() -> Batch:
        nonlocal images_seen
        batch = images.batch(images_seen + ranks.rank * part, part)
        images_seen += training.batch_size
        return batch

    def crossed(interval: int, before: int) -> bool:
        return images_seen // interval > before // interval or images_seen >= budget

    def preview_due() -> None:
        for milestone in training.milestones:
            if milestone <= images_seen and milestone not in run.previews:
                preview = system.preview(_final_networks(system, run), randomness, held_out)
                if preview is not None:
                    run.previews[milestone] = preview

    def save() -> None:
        nonlocal last_checkpoint
        _refuse_non_finite(name, system, images_seen, last_checkpoint)
        if ranks.is_first:
            checkpoints.save(images_seen, _state(system, run))
        last_checkpoint = images_seen

    totals = run.totals.unbind()  # a view of each: adding to them costs half of stacking the losses and adding those
    with Progress(name, budget, images_seen, shown=ranks.is_first) as progress, stop_requests() as request:
        if not run.digests.rows:
            run.digests.append(0, system.networks)
        preview_due()
        while images_seen < budget:
            before = images_seen

            # One step: seeded by where it stands, so that it is the same after a resume.
            factor = rate_factor(training.schedule, images_seen, budget)
            for optimiser in system.optimisers.values():
                optimiser.rate_factor = factor
            randomness.seed_layers(images_seen)
            with autocast(compute):
                losses = system.step(next_batch, randomness, Position(before, before / budget))
            for average in run.averages.values():
                average.update(images_seen, images_seen - before)
            torch._foreach_add_(totals, losses)
            run.steps += 1

            # Everything below happens once an interval.
            at_a_row = crossed(training.log_every, before)
            if at_a_row:
                means = ranks.mean([run.totals / run.steps])[0].tolist()
                _refuse_diverged(name, dict(zip(system.losses, means, strict=True)), images_seen, last_checkpoint)
                run.history.append(images_seen, means)
                run.digests.append(images_seen, system.networks)
                ranks.expect_the_same(run.digests.rows[-1][1], name, images_seen)
                run.totals.zero_()
                run.steps = 0
                progress.show(images_seen, dict(zip(system.losses, means, strict=True)))
            preview_due()
            stop = request.number or 0
            if ranks.size > 1:
                stop = ranks.largest(stop) if at_a_row else 0  # all at the same image
            if stop:
                save()
                raise Stopped(
                    f"variants.{name}: stopped at {images_seen:,} of {budget:,} images; `dvc repro` goes on from there",
                    stop,
                )
            if crossed(training.checkpoint_every, before):
                save()
        seconds, rate = progress.seconds(), progress.rate(images_seen)
    return Result(_final_networks(system, run), run.previews, images_seen, seconds, rate)


def _final_networks(system: System, run: Run) -> dict[str, nn.Module]:
    """The networks to sample from: a weight average where one is kept."""
    return dict(system.networks) | {name: average.network for name, average in run.averages.items()}


def _state(system: System, run: Run) -> State:
    return {
        "networks": {name: network.state_dict() for name, network in system.networks.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in system.optimisers.items()},
        "averages": {name: average.network.state_dict() for name, average in run.averages.items()},
        "totals": run.totals,
        "steps": run.steps,
        "history": run.history.rows,
        "digests": run.digests.rows,
        "previews": run.previews,
    }


def _restore(state: State, system: System, run: Run) -> None:
    for name, network in system.networks.items():
        network.load_state_dict(state["networks"][name])
    for name, optimiser in system.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    for name, average in run.averages.items():
        average.network.load_state_dict(state["averages"][name])
    run.totals.copy_(state["totals"])
    run.steps = state["steps"]
    run.history.replace(state["history"])
    run.digests.replace(state["digests"])
    run.previews = state["previews"]


def _refuse_diverged(name: str, means: Mapping[str, float], images_seen: int, kept: int) -> None:
    for loss, value in means.items():
        if not math.isfinite(value):
            raise _diverged(name, f"{loss} is {value}", images_seen, kept)


def _refuse_non_finite(name: str, system: System, images_seen: int, kept: int) -> None:
    for network_name, network in system.networks.items():
        norms = torch._foreach_norm(list(network.parameters()))
        if not torch.isfinite(torch.stack(norms)).all():
            raise _diverged(name, f"a weight of the {network_name} is not finite", images_seen, kept)


def _diverged(name: str, what: str, images_seen: int, kept: int) -> TrainingDiverged:
    checkpoint = f"the checkpoint at {kept:,} images is kept" if kept else "there is no checkpoint before it"
    return TrainingDiverged(
        f"variants.{name}: {what} at {images_seen:,} images; expected a finite number; "
        f"lower its learning rate under variants.{name}.objective ({checkpoint})"
    )
