"""Decisions about models, in the order in which they were made: promotions.jsonl, which is meant to be committed.

MLflow's aliases have no history; this file is it, and a store that was lost gets its champions back from it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from reprogan.atomic import write_atomically
from reprogan.errors import UserError
from reprogan.tracking import provenance

FILE = "promotions.jsonl"
Outcome = Literal["promoted", "held", "refused", "rolled back"]
NEW_CHAMPION = ("promoted", "rolled back")


@dataclass(frozen=True)
class Model:
    """A version as it is known everywhere: its number in this registry, sha256 of its weights, the commit that has it.

    `commit` is None while no clean commit is known to hold the model.
    """

    version: int
    sha256: str
    commit: str | None

    def __str__(self) -> str:
        return f"version {self.version} ({self.sha256[:8]})"


@dataclass(frozen=True)
class Decision:
    """What was decided of a variant, when (UTC, ISO 8601), why, and by which figures.

    After "promoted" and "rolled back" the champion is `model`, and `before` is who was; after "held" and "refused" it
    still is `before`.
    """

    variant: str
    outcome: Outcome
    time: str
    reason: str
    model: Model
    before: Model | None
    figures: dict[str, Any]

    def in_words(self) -> str:
        """A line of Markdown."""
        return f"{self.time}: {self.model} {self.outcome}; {self.reason}"


def read(root: Path) -> list[Decision]:
    """All decisions of the repository `root`, the oldest first; [] where there is no such file.

    Raises UserError, naming the line, for one that is none.
    """
    path = root / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [_decision(line, f"{FILE}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def commit_of(root: Path, model: Model) -> str | None:
    """The commit that holds a model: as was known when it was decided about, else that of the decision's own line.

    A retrain decides before it commits; its commit holds both.
    """
    return model.commit or provenance.first_with(root, FILE, model.sha256)


def add(root: Path, decision: Decision) -> None:
    """Add a decision at the end; the file is written whole or not at all."""
    path = root / FILE
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    write_atomically(path, before + json.dumps(asdict(decision), ensure_ascii=False) + "\n")


def last_change(decisions: Sequence[Decision], variant: str) -> Decision | None:
    """The decision that made a variant's present champion; None where there is none."""
    changes = [one for one in decisions if one.variant == variant and one.outcome in NEW_CHAMPION]
    return changes[-1] if changes else None


def previous_champion(decisions: Sequence[Decision], variant: str) -> Model | None:
    """Who was the champion before the present one; None where nobody was.

    After a rollback that is who was before the one that it went back to: rolling back twice goes back two.
    """
    stack: list[Model] = []
    for one in decisions:
        if one.variant != variant:
            continue
        if one.outcome == "promoted":
            stack.append(one.model)
        elif one.outcome == "rolled back":
            stack = stack[:-1] if len(stack) > 1 and stack[-2].sha256 == one.model.sha256 else [*stack, one.model]
    return stack[-2] if len(stack) > 1 else None


def _decision(line: str, where: str) -> Decision:
    try:
        values = json.loads(line)
        for key in ("model", "before"):
            values[key] = None if values[key] is None else Model(**values[key])
        decision = Decision(**values)
        if decision.model is None:
            raise ValueError("model is null")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{where}: {error}; expected a decision as `reprogan promote` writes it; mend the line or take it from git"
        ) from None
    return decision
