"""Prepare data/processed/ring.h5: points round the centres of Gaussians on a circle."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    from reprogan.data.ring import prepare  # torch may load now: the instruction set is pinned

    out = Path("data/processed/ring.h5")
    print(f"{out}: {prepare(params.ring, out)}")


if __name__ == "__main__":
    run_stage(work)
