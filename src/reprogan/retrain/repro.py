"""`reprogan repro` as a child: what it ran and restored, and how long each stage took."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from reprogan.errors import UserError
from reprogan.parent import STOP_WITH_PARENT
from reprogan.retrain.report import Ran
from reprogan.signals import told_to_stop
from reprogan.training.stopping import Stopped

_RUNS = re.compile(r"Running stage '(.+)':$")
_RESTORED = re.compile(r"Stage '(.+)' is cached - skipping run")
_SKIPPED = re.compile(r"(Stage|Verifying data sources in stage) '.+'")


def repro(root: Path, arguments: Sequence[str], ran: list[Ran]) -> None:
    """Run `reprogan repro` with these arguments; each stage that it runs or restores is added to `ran`.

    Returns, or raises, when its last stage has ended: also one that is still writing a checkpoint after DVC is gone.
    Raises UserError if a stage fails, Stopped on SIGTERM or SIGINT, which stop the stages first.
    """
    command = [sys.executable, "-m", "reprogan.cli", "repro", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", STOP_WITH_PARENT: "1"}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    current: tuple[str, bool, float] | None = None

    def end() -> None:
        nonlocal current
        if current is not None:
            ran.append(Ran(current[0], current[1], time.monotonic() - current[2]))
            current = None

    with told_to_stop(process.terminate) as stop:
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            if match := (begun := _RUNS.match(line)) or _RESTORED.match(line):
                end()
                current = match[1], begun is None, time.monotonic()
            elif _SKIPPED.match(line):
                end()
        status = process.wait()
        end()
    if stop:
        raise Stopped("stopped; what was trained so far is kept: `reprogan retrain` goes on from there", stop[0])
    if status:
        raise UserError("a stage failed, as said above; the stages before it are kept: mend it and run it again")
