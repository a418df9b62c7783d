"""What the topics share: processes that print a line of JSON, tables, medians."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reprogan.errors import UserError

Row = dict[str, Any]
"""What was measured, as it is kept in docs/benchmarks.json."""


def in_a_process(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Row:
    """The JSON object that `python -m module arguments` printed last. Raises UserError with its words if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | dict(environment or {}))
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"bench: {' '.join([module, *arguments])} failed: {said[-1]}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def table(headings: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def spread(values: Sequence[float], form: str) -> str:
    """The least and the greatest of values, as they stand behind a median."""
    return f"({min(values):{form}}–{max(values):{form}})"


def said(text: str) -> None:
    """Tell on stderr how far the measuring is."""
    print(text, file=sys.stderr, flush=True)
