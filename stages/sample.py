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
    for folder in variant.seed_folders().values():
        model, out = Path("models") / name / folder, Path("samples") / name / folder
        sample_variant(model, data, variant.view, variant.sampling, params.evaluation.seeds, params.compute, out)


if __name__ == "__main__":
    run_stage(sample)
