"""What the trainer asks of a system, and how one is found by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from torch import Tensor, nn

from reprogan import losses
from reprogan.blocks import parse
from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.systems.adam import Adam

# Files here that are no systems.
_NO_SYSTEMS = {"__init__", "adam", "compiling", "generator", "recording", "replay", "system"}

NextBatch = Callable[[], Batch]
"""A fresh batch of training images; a step may ask for several."""


@dataclass(frozen=True)
class Position:
    """Where a training stands before a step: `images_seen`, and the `share` of its budget that this is, 0 to 1."""

    images_seen: int
    share: float


class Draws(Protocol):
    """The random draws of one step (see training/randomness.py)."""

    def generator(self, purpose: str, position: int = 0) -> Any:
        """A torch.Generator for one draw."""
        ...


class System(Protocol):
    """A training procedure: it owns networks and optimisers and knows how to take one step."""

    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Adam]
    averaged: tuple[str, ...]  # the networks of which a weight average can be kept
    losses: tuple[str, ...]  # the names of what `step` returns

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        """Train on one batch (or several). Returns one detached scalar a name in `losses`, still on the device."""
        ...

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> Tensor | None:
        """A few images or points on the CPU, always from the same latents, as samples are; None if there are none.

        `held_out` are the same few held-out images each time, for a system that draws from what goes with them.
        """
        ...


def build(
    name: str, networks: Mapping[str, nn.Module], objective: dict[str, Any], where: str, budget: int | None = None
) -> System:
    """The system `systems/<name>.py` around `networks`.

    Raises UserError if its block is wrong, or not for these networks or a budget of so many images.
    """
    module = _module(name, where)
    parsed = parse(module.Objective, objective, where + "objective.")
    try:
        _check_budget(parsed, budget)
        built: System = module.System(networks, parsed)
        return built
    except UserError as error:
        raise UserError(f"{where}{error}") from None


def check(name: str, objective: dict[str, Any], where: str, budget: int) -> None:
    """Raise UserError if there is no such system, or its `objective` is wrong or wants more images than `budget`."""
    module = _module(name, where)
    parsed = parse(module.Objective, objective, where + "objective.")
    losses.check(parsed.loss, module.LOSS_FUNCTION, where + "objective.")
    try:
        _check_budget(parsed, budget)
    except UserError as error:
        raise UserError(f"{where}{error}") from None


def least_batch(name: str) -> int:
    """How many images a batch has to have for the system `systems/<name>.py`."""
    return getattr(import_module(f"reprogan.systems.{name}"), "LEAST_BATCH", 1)


def _check_budget(objective: Any, budget: int | None) -> None:
    if budget is not None and hasattr(objective, "check_budget"):
        objective.check_budget(budget)


def _module(name: str, where: str) -> ModuleType:
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NO_SYSTEMS)
    if name not in known:
        raise UserError(f"{where}system: found {name!r}; expected one of {', '.join(known)}")
    return import_module(f"reprogan.systems.{name}")
