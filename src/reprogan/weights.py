"""Weights from elsewhere, made a model of this project: `reprogan inception FILE`."""

from pathlib import Path

import torch

from reprogan.check import INCEPTION_SOURCE as SOURCE
from reprogan.config import IMPORTED, INCEPTION
from reprogan.data.download import sha256_of
from reprogan.errors import UserError
from reprogan.models import architecture, trained

SHA256_BEGINS = "6726825d"  # as its name says

_SHAPE = (3, 299, 299)


def import_inception(file: Path, root: Path) -> Path:
    """Make models/inception below `root` of the weights in `file`, which SOURCE offers; the folder.

    Raises UserError, and writes nothing, if it is another file. Nothing in it is run: only tensors are read.
    """
    expected = f"expected {SOURCE}"
    if not file.is_file():
        raise UserError(f"{file}: no such file; {expected}")
    found = sha256_of(file)
    if not found.startswith(SHA256_BEGINS):
        raise UserError(f"{file}: its sha256 is {found}; expected one that begins with {SHA256_BEGINS}: {SOURCE}")
    networks = architecture.build(INCEPTION, {}, _SHAPE, 0)
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
        networks["classifier"].network.load_state_dict(weights)  # type: ignore[union-attr]
    except Exception as error:  # of a file that is no such thing, torch.load raises whatever its parts raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{file}: no weights of this network ({reason}); {expected}") from None
    description = trained.Description(
        variant=INCEPTION,
        system=IMPORTED,
        architecture=INCEPTION,
        network={},
        image_shape=_SHAPE,
        classes=(),
        data="ImageNet",
        weights="last",
        images_seen=0,
    )
    folder = root / "models" / INCEPTION
    trained.save(folder, description, networks)
    return folder
