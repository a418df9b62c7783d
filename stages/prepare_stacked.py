"""Prepare data/processed/stacked.h5: three digits in the colour channels of each image."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    from reprogan.data.stacked import prepare  # torch may load now: the instruction set is pinned

    out = Path("data/processed/stacked.h5")
    print(f"{out}: {prepare(params.stacked, Path('data/processed/digits.h5'), out)}")


if __name__ == "__main__":
    run_stage(work)
