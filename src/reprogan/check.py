"""All of params.yaml, with what no block can judge by itself."""

from pathlib import Path

from reprogan.config import INCEPTION, PARAMS_FILE, TOY_FACES, Parameters
from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.models.trained import DESCRIPTION
from reprogan.systems import system

INCEPTION_SOURCE = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


def check_blocks(params: Parameters) -> None:
    """Raise UserError at the first `network` or `objective` block that its architecture or system refuses."""
    for name, variant in params.variants.items():
        where = f"{PARAMS_FILE}: variants.{name}."
        architecture.check(variant.architecture, variant.network, where)
        system.check(variant.system, variant.objective, where, variant.training.images)


def check_extractors(params: Parameters, root: Path) -> None:
    """Raise UserError if a variant is to be scored with Inception and nobody has brought its weights to `root`."""
    for name, variant in params.variants.items():
        if variant.extractor == INCEPTION and not (root / "models" / INCEPTION / DESCRIPTION).is_file():
            raise UserError(
                f"{PARAMS_FILE}: variants.{name}.extractor: models/{INCEPTION}: not there; fetch {INCEPTION_SOURCE} "
                "and run `reprogan inception FILE`"
            )


def check_faces(params: Parameters, root: Path) -> None:
    """Raise UserError if there is nothing at `faces.source`, which is taken from `root` on."""
    if not (root / params.faces.source).exists():
        raise UserError(
            f"{PARAMS_FILE}: faces.source is {params.faces.source!r}; no such file or folder; expected an HDF5 file, a "
            f"zip or a folder of pictures, or {TOY_FACES}, which draws toy faces"
        )
