"""Overrides merged into params.yaml, whose comments stay: a profile, which is a named file of them, or single keys."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from reprogan.atomic import write_atomically
from reprogan.blocks import parse, parse_yaml, read_yaml
from reprogan.config import PARAMS_FILE, Parameters
from reprogan.errors import UserError


def apply_profile(name: str, root: Path) -> list[str]:
    """Merge `profiles/<name>.yaml` into `params.yaml` below `root`; return a line a changed value.

    Overrides of variants and pairs that params.yaml does not have are left out. Raises UserError, and leaves
    params.yaml as it was, for an unknown profile or a result that does not validate.
    """
    folder = root / "profiles"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        profiles = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise UserError(f"profiles/{name}.yaml: no such profile; expected one of {profiles}")
    overrides = read_yaml(path)
    if not isinstance(overrides, dict):
        raise UserError(
            f"profiles/{name}.yaml: found {overrides!r}; expected blocks of params.yaml with their overrides"
        )
    known = read_yaml(root / PARAMS_FILE)
    for kind in ("variants", "pairs"):
        if kind in overrides:
            overrides[kind] = {name: block for name, block in overrides[kind].items() if name in known[kind]}
    return _apply(overrides, root, f"profiles/{name}.yaml: ")


def set_values(assignments: Sequence[str], root: Path) -> list[str]:
    """Set keys of `params.yaml` below `root`, each given as `dotted.key=value`; return a line a changed value.

    Values are read as YAML, except where there is text already: there the value is taken as it stands. Raises
    UserError, and leaves params.yaml as it was, for a key that is not there or a value that does not validate.
    """
    overrides: dict[str, Any] = {}
    params = read_yaml(root / PARAMS_FILE)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise UserError(f"{assignment!r}: expected KEY=VALUE, as in faces.source=/home/me/pictures")
        *blocks, last = key.split(".")
        inner, there = overrides, params
        for part in (*blocks, last):
            if not isinstance(there, dict) or part not in there:
                expected = ", ".join(there) if isinstance(there, dict) else "no key below a value"
                raise UserError(f"{key}: no such key in {PARAMS_FILE}; expected one of {expected}")
            there = there[part]
        for block in blocks:
            inner = inner.setdefault(block, {})
        if not isinstance(inner, dict):
            raise UserError(f"{key}: set above as a whole already; give one of the two")
        is_text = isinstance(there, str) and text != "null"
        value = text if is_text else _value(text, key)
        inner[last] = _Whole(value) if isinstance(value, dict) else value
    return _apply(overrides, root, "")


class _Whole(dict[str, Any]):
    """A block that takes the place of what is there, instead of being merged into it."""


def _value(text: str, key: str) -> Any:
    try:
        return parse_yaml(text, key)
    except UserError:  # which names a line, as of a file
        raise UserError(f"{key}: found {text!r}; expected a value in YAML, as params.yaml has them") from None


def _apply(overrides: dict[str, Any], root: Path, where: str) -> list[str]:
    """Merge overrides into params.yaml, if the result validates; errors begin with `where`."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 200
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    params = root / PARAMS_FILE
    document = editor.load(params.read_text(encoding="utf-8"))
    changes = _merge(document, overrides, "")

    text = io.StringIO()
    editor.dump(document, text)
    merged = params.with_name(f".{PARAMS_FILE}.merged")
    try:
        merged.write_text(text.getvalue(), encoding="utf-8")
        parse(Parameters, read_yaml(merged), where)
    finally:
        merged.unlink(missing_ok=True)
    write_atomically(params, text.getvalue())
    return changes


def _merge(into: CommentedMap, overrides: dict[str, Any], prefix: str) -> list[str]:
    changes: list[str] = []
    for key, value in overrides.items():
        if isinstance(value, dict) and not isinstance(value, _Whole) and isinstance(into.get(key), dict):
            changes += _merge(into[key], value, f"{prefix}{key}.")
        elif into.get(key) != value:
            changes.append(f"{prefix}{key}: {into.get(key)} -> {value}")
            into[key] = dict(value) if isinstance(value, _Whole) else value
    return changes
