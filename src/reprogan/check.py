"""All of params.yaml, with what no block can judge by itself."""

from pathlib import Path

from reprogan.config import INCEPTION, PARAMS_FILE, PREPARED_FACES, TOY_FACES, Parameters
from reprogan.data import pairs
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
        least = system.least_batch(variant.system)
        if variant.training.batch_size < least:
            raise UserError(
                f"{where}training.batch_size is {variant.training.batch_size}; system {variant.system} compares the "
                f"images of a batch with each other; expected {least} or more"
            )


def check_extractors(params: Parameters, root: Path) -> None:
    """Raise UserError if images are to be read with Inception and nobody has brought its weights to `root`."""
    for name, reference in params.references.items():
        if reference.extractor == INCEPTION and not (root / "models" / INCEPTION / DESCRIPTION).is_file():
            raise UserError(
                f"{PARAMS_FILE}: references.{name}.extractor: models/{INCEPTION}: not there; fetch {INCEPTION_SOURCE} "
                "and run `reprogan inception FILE`"
            )


def check_sources(params: Parameters, root: Path) -> None:
    """Raise UserError if what faces, captions or pairs are made of is not there; paths are taken from `root` on."""
    if not (root / params.faces.source).exists():
        raise UserError(
            f"{PARAMS_FILE}: faces.source is {params.faces.source!r}; no such file or folder; expected an HDF5 file, a "
            f"zip or a folder of pictures, or {TOY_FACES}, which draws toy faces"
        )
    if params.captions.table != PREPARED_FACES and not (root / params.captions.table).is_file():
        raise UserError(
            f"{PARAMS_FILE}: captions.table is {params.captions.table!r}; no such file; expected a CSV file, or "
            f"{PREPARED_FACES}, which carries captions if faces are toy faces"
        )
    for name, block in params.pairs.items():
        pairs.check(name, block, root)
