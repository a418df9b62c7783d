"""Prepare data/processed/captions.h5: the prepared faces that have captions, and these as tokens."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    from reprogan.data.captions import prepare
    from reprogan.data.faces.sources import listed

    out = Path("data/processed/captions.h5")
    description, left_out = prepare(params.captions, Path("data/processed/faces.h5"), out)
    print(f"{out}: {description}")
    if left_out:
        print(f"{out}: left out as without a caption: {listed(left_out)}")


if __name__ == "__main__":
    run_stage(work)
