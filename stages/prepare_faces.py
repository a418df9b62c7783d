"""Prepare data/processed/faces.h5: squares of 128×128 from pictures, or toy faces."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    from reprogan.data.faces.prepare import prepare
    from reprogan.data.faces.sources import listed

    out = Path("data/processed/faces.h5")
    description, skipped = prepare(params.faces, out)
    print(f"{out}: {description}")
    if skipped:
        print(f"{out}: left out as smaller than a square: {listed(skipped)}")


if __name__ == "__main__":
    run_stage(work)
