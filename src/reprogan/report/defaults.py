"""What a profile says of each variant, to show where params.yaml has been changed since."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reprogan.blocks import read_yaml
from reprogan.config import Parameters


def changed_since(params: Parameters, root: Path) -> dict[str, dict[str, Any]]:
    """{variant: {dotted key: the profile's value}} of what is not as the file of the profile, below `root`, has it.

    Keys that the profile does not mention, and profiles without a file, have no defaults.
    """
    path = root / "profiles" / f"{params.profile}.yaml"
    profile = read_yaml(path) if path.is_file() else {}
    defaults = (profile or {}).get("variants") or {}
    found: dict[str, dict[str, Any]] = {}
    for name, variant in params.variants.items():
        now = dict(flat(variant.model_dump(mode="json")))
        wanted = dict(flat(defaults.get(name, {})))
        found[name] = {key: value for key, value in wanted.items() if key in now and now[key] != value}
    return found


def flat(block: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters as (dotted key, value) in their own order; an empty block has none."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
