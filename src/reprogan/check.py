"""All of params.yaml, with the blocks that only an architecture or a system can judge."""

from reprogan.config import PARAMS_FILE, Parameters
from reprogan.models import architecture
from reprogan.systems import system


def check_blocks(params: Parameters) -> None:
    """Raise UserError at the first `network` or `objective` block that its architecture or system refuses."""
    for name, variant in params.variants.items():
        where = f"{PARAMS_FILE}: variants.{name}."
        architecture.check(variant.architecture, variant.network, where)
        system.check(variant.system, variant.objective, where)
