"""What the commands of `reprogan` share: where they run, how they fail, options that several have."""

import gc
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from reprogan.config import load
from reprogan.entry import checkout_root, exit_status, pin_instruction_set

# Objects between two looks for garbage. torch and MLflow load hundreds of thousands that all stay: looking for garbage
# among them takes a fifth of the time that a command takes to start.
_GARBAGE = 200_000
HERE = click.Path(path_type=Path, resolve_path=True)
"""A path that the caller gives from where they are, not from the repository's root."""
JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")


def in_repository(work: Callable[..., None]) -> Callable[..., None]:
    """Run a command from the repository root with checked parameters; the user's mistakes become one line."""

    @wraps(work)
    def command(**arguments: Any) -> None:
        def start() -> None:
            gc.set_threshold(_GARBAGE)
            os.chdir(checkout_root())
            params = load()
            pin_instruction_set(params.compute)
            work(params, **arguments)

        sys.exit(exit_status(start))

    return command
