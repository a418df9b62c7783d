"""What is neither training, sampling nor scoring: starting stages, and finding that nothing is to be done.

In a repository whose pipeline has run: commands that have nothing to do, and the three stages of the variant that takes
least. DVC's floor is `dvc repro` in a repository of one stage that is up to date.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reprogan.bench.measure import Row, said, seconds, spread, table
from reprogan.config import Parameters
from reprogan.errors import UserError

_SHORT = "ring_gan"
_THREE = f"training, sampling and scoring `{_SHORT}`"
_ONE_STAGE = "stages:\n  one:\n    cmd: echo 1 > one\n    outs: [one]\n"


def rows(params: Parameters, rounds: int) -> list[Row]:
    """A row a command, in turn. Raises UserError if one of them has something to do, or fails."""
    dvc = [sys.executable, "-m", "dvc"]
    reprogan = [sys.executable, "-m", "reprogan.cli"]
    stages = len(subprocess.run([*dvc, "stage", "list", "--name-only"], capture_output=True, text=True).stdout.split())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "dvc.yaml").write_text(_ONE_STAGE)
        for first in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "repro", "-q"]):
            _run(first, root)
        three = ["repro", "-f", "-s", *(f"{stage}@{_SHORT}" for stage in ("train", "sample", "evaluate"))]
        commands: list[tuple[str, Sequence[str], Path]] = [
            ("`dvc repro`, one stage: DVC's floor", [*dvc, "repro"], root),
            (f"`dvc repro`, {stages} stages", [*dvc, "repro"], Path()),
            (f"`reprogan repro`, {stages} stages", [*reprogan, "repro"], Path()),
            (f"{_THREE} by `dvc repro`", [*dvc, *three], Path()),
            (f"{_THREE} by `reprogan repro`", [*reprogan, *three], Path()),
            ("`import torch`", [sys.executable, "-c", "import torch"], Path()),
            ("`reprogan --help`", [*reprogan, "--help"], Path()),
        ]
        taken: list[list[float]] = [[] for _ in commands]
        for _ in range(rounds):
            for times, (_, command, where) in zip(taken, commands, strict=True):
                times.append(seconds(partial(_run, command, where)))
    found: list[Row] = [
        {"what": what, "seconds": statistics.median(times), "all": times}
        for (what, _, _), times in zip(commands, taken, strict=True)
    ]
    done = json.loads(Path(f".reprogan/live/{_SHORT}/done.json").read_text())
    for row in found:
        if row["what"].startswith(_THREE):
            row["trained"] = done["seconds"]
    for row in found:
        said(f"{row['what']}: {row['seconds']:.2f} s")
    return found


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    floor = found[0]["seconds"]
    lines = [(row["what"], f"{row['seconds']:.2f} {spread(row['all'], '.2f')}", _over(row, floor)) for row in found]
    return table(("command", "seconds", "over DVC's floor"), lines)


def _over(row: Row, floor: float) -> str:
    if "trained" in row:
        return f"{row['seconds'] - row['trained'] - floor:+.2f} besides {row['trained']:.2f} of training"
    return f"{row['seconds'] - floor:+.2f}" if "repro`" in row["what"] else ""


def _run(command: Sequence[str], where: Path) -> None:
    done = subprocess.run(
        command,
        cwd=where,
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "DVC_NO_ANALYTICS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # stages are run by `python`
        },
    )
    if done.returncode:
        raise UserError(f"bench: {' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")
    if where == Path() and "-f" not in command and "Running stage" in done.stdout:
        raise UserError("bench: the pipeline was not up to date; run `reprogan repro` first")
