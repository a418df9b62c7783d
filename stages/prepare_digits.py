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
    prepared = prepare(params.digits, out, Path("data/raw"), os.environ)
    counts = " and ".join(f"{count:,} {split}" for split, count in prepared.counts.items())
    size = "×".join(str(part) for part in prepared.image_shape)
    print(f"{out}: {prepared.name}, {counts} images of {size}, {len(prepared.classes)} classes")


if __name__ == "__main__":
    run_stage(work)
