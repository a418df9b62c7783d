"""Stage `sample@<variant>`: draw images and pictures from one trained model."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def sample(params: Parameters, arguments: list[str]) -> None:
    from reprogan.sampling.sample import sample_variant  # torch may load now: the instruction set is pinned

    (name,) = arguments
    variant = params.variant(name)
    data = Path("data/processed") / f"{variant.data}.h5"
    sample_variant(
        Path("models") / name, data, variant.view, variant.sampling, params.compute, out=Path("samples") / name
    )


if __name__ == "__main__":
    run_stage(sample)
