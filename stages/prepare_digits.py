"""Prepare the digits: data/processed/digits.h5 from MNIST, a set in its format, or the embedded digits."""

import os
from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    """Write data/processed/digits.h5 from what `digits.source` names; downloads are kept in data/raw."""
    from reprogan.data.digits import prepare

    out = Path("data/processed/digits.h5")
    print(f"{out}: {prepare(params.digits, out, Path('data/raw'), os.environ)}")


if __name__ == "__main__":
    run_stage(work)
