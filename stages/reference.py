"""Stage `reference@<name>`: the real images of a data set as one extractor sees them, for scores to be read against."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage
from reprogan.memory import keep_freed_memory


def reference(params: Parameters, arguments: list[str]) -> None:
    from reprogan.evaluation.reference import write_reference  # torch may load now: the instruction set is pinned

    (name,) = arguments
    keep_freed_memory()
    block = params.references[name]
    data, extractor = Path("data/processed") / f"{block.data}.h5", Path("models") / block.extractor
    write_reference(block.size, data, extractor, params.evaluation, Path("data/references") / f"{name}.h5")


if __name__ == "__main__":
    run_stage(reference)
