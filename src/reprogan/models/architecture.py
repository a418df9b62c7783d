"""From the name of an architecture to its networks: `models/<architecture>.py` is loaded by name, alone.

So a stage imports the file of its own architecture and no other, and an edit there retrains only its variants.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from reprogan.blocks import parse
from reprogan.config import PARAMS_FILE
from reprogan.errors import UserError

_NOT_ARCHITECTURES = {
    "__init__",
    "architecture",
    "convolution",
    "initialisation",
    "latents",
    "layers",
    "product",
    "trained",
}


@dataclass(frozen=True)
class Given:
    """What networks are made for: facts of the data, and the networks that they build on."""

    image_shape: tuple[int, int, int]  # C, H, W
    classes: int = 0
    words: int = 0  # of the vocabulary that captions are written in
    source_channels: int = 0  # of the images that are to be translated
    upstream: Mapping[str, nn.Module] = field(default_factory=dict)  # by name, those of the variant's upstream model


def build(
    architecture: str,
    network: dict[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    where: str = PARAMS_FILE + ": ",
    *,
    words: int = 0,
    source_channels: int = 0,
    upstream: Mapping[str, nn.Module] | None = None,
) -> dict[str, nn.Module]:
    """The networks of `architecture` by name, freshly initialised from torch's default generator.

    `network` is the variant's block of that name; the rest is as in `Given`. Raises UserError for an unknown
    architecture, a wrong block (its key prefixed with `where`), or data or networks that the architecture is not for.
    """
    module = _module(architecture, where)
    parameters = parse(module.Parameters, network, where + "network.")
    return module.build(parameters, Given(image_shape, classes, words, source_channels, upstream or {}))


def check(architecture: str, network: dict[str, Any], where: str) -> None:
    """Raise UserError if there is no such architecture or its `network` block is wrong."""
    parse(_module(architecture, where).Parameters, network, where + "network.")


def _module(architecture: str, where: str) -> ModuleType:
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_ARCHITECTURES)
    if architecture not in known:
        raise UserError(f"{where}architecture: found {architecture!r}; expected one of {', '.join(known)}")
    return import_module(f"reprogan.models.{architecture}")
