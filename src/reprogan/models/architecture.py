"""From the name of an architecture to its networks: `models/<architecture>.py` is loaded by name, alone.

So a stage imports the file of its own architecture and no other, and an edit there retrains only its variants.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from reprogan.blocks import parse
from reprogan.config import PARAMS_FILE
from reprogan.errors import UserError

_NOT_ARCHITECTURES = {"__init__", "architecture", "initialisation", "latents", "layers", "trained"}


def build(
    architecture: str,
    network: dict[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    where: str = PARAMS_FILE + ": ",
) -> dict[str, nn.Module]:
    """The networks of `architecture` by name, freshly initialised from torch's default generator.

    `network` is the variant's block of that name, `image_shape` (C, H, W). Raises UserError for an unknown
    architecture, a wrong block (its key prefixed with `where`) or images that the architecture cannot make.
    """
    module = _module(architecture, where)
    return module.build(parse(module.Parameters, network, where + "network."), image_shape, classes)


def check(architecture: str, network: dict[str, Any], where: str) -> None:
    """Raise UserError if there is no such architecture or its `network` block is wrong."""
    parse(_module(architecture, where).Parameters, network, where + "network.")


def _module(architecture: str, where: str) -> ModuleType:
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_ARCHITECTURES)
    if architecture not in known:
        raise UserError(f"{where}architecture: found {architecture!r}; expected one of {', '.join(known)}")
    return import_module(f"reprogan.models.{architecture}")
