"""Objectives: pure functions on logits, one file each; they know no network.

A file is loaded by its name (`objective.loss` of a variant), so an edit there retrains only the variants that use it.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from reprogan.config import PARAMS_FILE
from reprogan.errors import UserError


def load(name: str, function: str) -> ModuleType:
    """The objective `losses/<name>.py`. Raises UserError if there is none of that name that offers `function`."""
    check(name, function, f"{PARAMS_FILE}: ")
    return import_module(f"reprogan.losses.{name}")


def check(name: str, function: str, where: str) -> None:
    """Raise UserError, whose key begins with `where`, if no objective of that name offers `function`."""
    known = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if offers(path.stem, function))
    if name not in known:
        raise UserError(f"{where}loss: found {name!r}; expected one of {', '.join(known)}")


def offers(name: str, function: str) -> bool:
    """Whether there is an objective of that name with that function; nothing is imported."""
    path = Path(__file__).parent / f"{name}.py"
    return path.is_file() and f"\ndef {function}(" in path.read_text(encoding="utf-8")
