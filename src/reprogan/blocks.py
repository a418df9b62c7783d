"""Blocks of parameters, read strictly from YAML: a mistake is one line of file, key, value and what is allowed."""

import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from reprogan.errors import UserError


class Strict(BaseModel):
    """A block of parameters: unknown keys and wrong types are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Yaml12Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader, in C where there is one, with YAML 1.2 floats: `2e-4` is a number, as DVC writes it."""


_Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> Any:
    """Parse a YAML file with YAML 1.2 floats. Raises UserError, one line, if it is missing or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; expected a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not YAML: byte {error.start} is not UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML with YAML 1.2 floats. Raises UserError, one line that begins with `where`."""
    try:
        return yaml.load(text, Loader=_Yaml12Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{where}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error


Block = TypeVar("Block", bound=Strict)


def parse(block: type[Block], values: Any, where: str) -> Block:
    """Validate `values` as `block`; `where` is the file and key prefix an error begins with."""
    try:
        return block.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(error, where, block)) from None


def _one_line(error: ValidationError, where: str, block: type[Strict]) -> str:
    """The first mistake of a failed validation (and how many more), as one line."""
    mistakes = error.errors()
    # A misspelt key is also a missing one: its own name says more.
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"{key}: unknown key; expected one of {', '.join(_known_keys(block, first['loc'][:-1]))}"
    elif first["type"] == "missing":
        text = f"{key}: missing; add it"
    elif first["type"] == "value_error":
        text = f"{key}: {first['ctx']['error']}" if key else str(first["ctx"]["error"])
    else:
        found = repr(first["input"])
        found = found if len(found) <= 80 else f"{found[:77]}..."
        text = f"{key}: found {found}; {first['msg'][0].lower()}{first['msg'][1:]}"
    more = len(mistakes) - 1
    return f"{where}{text}" + (f" (and {more} more)" if more else "")


def _known_keys(block: type[Strict], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the block found at `location` below `block` may have."""
    inner: Any = block
    for part in location:
        if isinstance(inner, type) and issubclass(inner, Strict):
            inner = inner.model_fields[str(part)].annotation
        else:  # a dict[str, Block]: its values
            inner = get_args(inner)[1]
    return list(inner.model_fields)
