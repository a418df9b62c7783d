"""retrain.md: what was made again and why, before and after side by side, what was decided, and what it cost."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reprogan.atomic import write_atomically
from reprogan.comparison import Comparison
from reprogan.retrain.changes import Change
from reprogan.retrain.stale import Stale, lines
from reprogan.tables import difference_text, estimate_text, judged_by, written
from reprogan.tracking.decisions import Decision

FILE = "retrain.md"
PICTURES = "retrain"


@dataclass(frozen=True)
class Ran:
    """One stage that was run, or restored from the run-cache, and for how many seconds."""

    stage: str
    restored: bool
    seconds: float


@dataclass
class Outcome:
    """All that a retrain did. `decisions`: {variant: what was decided, or why nothing was}."""

    commit: str
    where: str
    stale: Stale
    ran: list[Ran] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    decisions: dict[str, Decision | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    dry: bool = False

    @property
    def trained(self) -> list[str]:
        """The variants that were trained here, not restored."""
        return [one.stage.partition("@")[2] for one in self.ran if one.stage.startswith("train@") and not one.restored]

    def decided(self, variant: str) -> str:
        """A word for what was decided about a variant."""
        decision = self.decisions.get(variant)
        return "–" if decision is None else decision if isinstance(decision, str) else decision.outcome

    def title(self) -> str:
        """What happened, in a line: also the subject of the commit."""
        if not self.changes:
            return "Retrain: no model changed" if self.ran else "Retrain: nothing changed"
        said = []
        for change in self.changes:
            decision = self.decisions.get(change.variant)
            word = decision.outcome if isinstance(decision, Decision) else "made again" if change.outs else ""
            said.append(f"{change.variant} ({word})")
        shown = ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")
        return f"Retrain: {shown}"


def write_report(outcome: Outcome, root: Path) -> Path:
    """Write retrain.md and its pictures below `root`; what an earlier one left is removed."""
    shutil.rmtree(root / PICTURES, ignore_errors=True)
    for change in outcome.changes:
        for when, grid in zip(("before", "after"), change.grids, strict=True):
            if grid is not None:
                write_atomically(root / PICTURES / f"{change.variant}-{when}.png", grid)
    write_atomically(root / FILE, "\n\n".join(_parts(outcome)) + "\n")
    return root / FILE


def _parts(outcome: Outcome) -> Iterable[str]:
    yield f"# {outcome.title()}"
    yield f"Against commit `{outcome.commit[:12]}`, {outcome.where}."
    if outcome.dry:
        yield "A dry run: nothing was trained. Out of date:"
        yield "\n".join(f"- {_code(line)}" for line in lines(outcome.stale))
        return
    if outcome.notes:
        yield "\n".join(f"> **{note}**" for note in outcome.notes)
    if outcome.changes:
        yield _overview(outcome)
    for change in outcome.changes:
        yield from _change(change, outcome)
    others = [name for name in outcome.decisions if all(name != change.variant for change in outcome.changes)]
    if others:
        yield "## Decided about models that were there before"
        yield "\n".join(f"- {name}: {_decision(outcome.decisions[name])}" for name in others)
    yield from _cost(outcome.ran)


def _overview(outcome: Outcome) -> str:
    rows = []
    for change in outcome.changes:
        score, before, after, verdict = "–", "–", "–", change.why_not or "–"
        if change.comparison is not None and change.comparison.scores:
            first = change.comparison.scores[0]
            score, verdict = first.score.title, first.verdict or "not comparable"
            before, after = (estimate_text(first.score, side) for side in (first.a, first.b))
        seconds = sum(one.seconds for one in outcome.ran if one.stage.partition("@")[2] == change.variant)
        cost = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s" if seconds else "–"
        rows.append((change.variant, score, before, after, verdict, outcome.decided(change.variant), cost))
    return _table(("variant", "score", "before", "after", "after against before", "decision", "took"), rows)


def _change(change: Change, outcome: Outcome) -> Iterable[str]:
    yield f"## {change.variant}"
    why = [f"`{key}` {written(old)} → {written(new)}" for key, (old, new) in change.parameters.items()]
    why += [f"code `{path}`" for path in change.code] + [f"data `{path}`" for path in change.data]
    if why:
        yield "\n".join(f"- {line}" for line in why)
    if change.comparison is not None:
        yield _scores(change.comparison)
        yield judged_by(change.comparison).replace("of A;", "before;").replace("of B)", "after)")
    else:
        yield f"Not compared: {change.why_not}."
    decision = outcome.decisions.get(change.variant)
    if decision is not None:
        yield f"**Champion:** {_decision(decision)}"
    pictures = [
        f"![{change.variant} {when}]({PICTURES}/{change.variant}-{when}.png)" if grid is not None else "–"
        for when, grid in zip(("before", "after"), change.grids, strict=True)
    ]
    if pictures != ["–", "–"]:
        yield _table(("before", "after"), [pictures])
        yield _latents(change)
    hashes = [(f"`{path}`", f"`{old or '–'}`", f"`{new}`") for path, (old, new) in change.outs.items()]
    yield "<details><summary>Hashes (md5)</summary>"
    yield _table(("output", "before", "after"), hashes)
    yield "</details>"


def _decision(decision: Decision | str) -> str:
    return decision.in_words() if isinstance(decision, Decision) else decision


def _latents(change: Change) -> str:
    drawn_by = ("sampling.seed", "network.latent_size", "network.latent_distribution")
    others = [key for key in change.parameters if key.endswith(drawn_by)]
    if others:
        return f"Samples of other latents: {', '.join(f'`{key}`' for key in others)} changed."
    return "Samples of the same latents."


def _scores(found: Comparison) -> str:
    rows = [
        (line.score.title, estimate_text(line.score, line.a), estimate_text(line.score, line.b), difference_text(line),
         line.verdict or "–")
        for line in found.scores
    ]  # fmt: skip
    return _table(("score", "before", "after", "difference (95 %)", "after against before"), rows)


def _cost(ran: Sequence[Ran]) -> Iterable[str]:
    yield "## Cost"
    restored = [one for one in ran if one.restored]
    here = sorted((one for one in ran if not one.restored), key=lambda one: -one.seconds)
    if not ran:
        yield "No stage ran."
        return
    total = sum(one.seconds for one in ran) / 60
    yield (
        f"{total:.1f} minutes: {len(here)} stages ran, {len(restored)} were restored from what another machine or an "
        "earlier commit had made."
    )
    if here:
        yield _table(("stage", "seconds"), [(f"`{one.stage}`", f"{one.seconds:.1f}") for one in here])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines_ = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in lines_)


def _code(line: str) -> str:
    name, colon, rest = line.partition(": ")
    return f"`{name}`{colon}{rest}" if colon else line
