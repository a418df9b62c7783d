"""How time and memory grow: with images seen, the data set, the batch, the resolution, the samples scored.

`python -m reprogan.bench.growth WHAT SIZE` is one measurement, on made-up data. Of each series the exponents tell: time
and memory are about size to that power (a least-squares line through the logarithms). Memory is what a process holds at
its peak over what it held before.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reprogan.bench.measure import Row, in_a_process, said, table
from reprogan.config import Compute, Parameters, Variant, load
from reprogan.data import hdf5
from reprogan.entry import checkout_root, pin_instruction_set

_SIZES = {
    "images seen": (100_000, 200_000, 400_000, 800_000),
    "images in the data set": (10_000, 100_000, 1_000_000, 10_000_000),
    "images in the data set, in its file": (10_000, 100_000, 1_000_000, 10_000_000),
    "images a batch": (16, 64, 256, 1024),
    "pixels a side": (32, 64, 128, 256),
    "samples scored": (1_000, 3_000, 10_000, 30_000),
}
_TIMED = {  # what the seconds are of
    "images seen": "a training of `gan`",
    "images in the data set": "a training of `gan` on 100,000 images of 8×8",
    "images in the data set, in its file": "the same",
    "images a batch": "1,000 images of a training of `gan`",
    "pixels a side": "100 images of a training of `progan`, 16 channels at every size",
    "samples scored": "their scores against as many real ones",
}
_SEED = 1


def rows(params: Parameters) -> list[Row]:
    """A row a size of each series."""
    found = []
    for what, sizes in _SIZES.items():
        for size in sizes:
            row = {"what": what, "size": size, **in_a_process("reprogan.bench.growth", what, str(size))}
            said(f"{what} {size:,}: {row['seconds']:.2f} s, {row['mib']:.0f} MiB")
            found.append(row)
    return found


def markdown(found: list[Row]) -> str:
    """A line a series."""
    lines = []
    for what in dict.fromkeys(row["what"] for row in found):
        series = [row for row in found if row["what"] == what]
        sizes = [row["size"] for row in series]
        lines.append((
            what,
            " · ".join(f"{size:,}" for size in sizes),
            f"{_TIMED[what]}: " + " · ".join(f"{row['seconds']:.3g}" for row in series),
            f"{exponent(sizes, [row['seconds'] for row in series]):.2f}",
            " · ".join(f"{row['mib']:,.0f}" for row in series),
            f"{exponent(sizes, [row['mib'] for row in series]):.2f}",
        ))  # fmt: skip
    return table(("growing", "sizes", "seconds", "exponent", "MiB", "exponent"), lines)


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of the least-squares line through (log size, log value)."""
    slope, _ = np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)
    return float(slope)


def main() -> None:
    """Measure one size and print a line of JSON."""
    os.chdir(checkout_root())
    params = load()
    pin_instruction_set(params.compute)
    what, size = sys.argv[1], int(sys.argv[2])
    if what.endswith("in its file"):
        os.environ["REPROGAN_STREAM"] = "on"
    with tempfile.TemporaryDirectory() as folder:
        work = _WORK[what.removesuffix(", in its file")](params, size, Path(folder))
        before = _peak()
        seconds = work()
        print(json.dumps({"seconds": seconds, "mib": _peak() - before}))


def _images_seen(params: Parameters, size: int, folder: Path) -> Callable[[], float]:
    return _training(params.variant("gan"), params.compute, Path("data/processed/digits.h5"), size, 64, folder)


def _data_set(params: Parameters, size: int, folder: Path) -> Callable[[], float]:
    data = _noise(folder, size, 8)
    return _training(params.variant("gan"), params.compute, data, 100_000, 64, folder)


def _batch(params: Parameters, size: int, folder: Path) -> Callable[[], float]:
    count = max(64_000, 30 * size)
    work = _training(params.variant("gan"), params.compute, Path("data/processed/digits.h5"), count, size, folder)
    return lambda: work() / count * 1000


def _resolution(params: Parameters, size: int, folder: Path) -> Callable[[], float]:
    from reprogan.bench.setup import at_its_last_size

    variant = at_its_last_size(params.variant("progan"))
    doublings = size.bit_length() - 3  # of 4×4
    variant = variant.model_copy(update={"network": variant.network | {"widths": [16] * (doublings + 1)}})
    count = 4 * max(10, 60 * 32 // size)
    work = _training(variant, params.compute, _noise(folder, 500, size), count, 4, folder)
    return lambda: work() / count * 100


def _scored(params: Parameters, size: int, folder: Path) -> Callable[[], float]:
    import torch

    from reprogan.bench.scores import measured

    torch.set_num_threads(params.compute.threads)
    return lambda: float(measured("ours", size)["seconds"])


_WORK: dict[str, Callable[[Parameters, int, Path], Callable[[], float]]] = {
    "images seen": _images_seen,
    "images in the data set": _data_set,
    "images a batch": _batch,
    "pixels a side": _resolution,
    "samples scored": _scored,
}


def _training(
    variant: Variant, compute: Compute, data: Path, images: int, batch: int, folder: Path
) -> Callable[[], float]:
    from reprogan.training.run import train_variant

    os.environ["REPROGAN_TRACKING"] = "off"
    changes: dict[str, Any] = {"images": images, "batch_size": batch, "milestones": (), "checkpoint_every": images}
    changes["log_every"] = max(variant.training.log_every, images // 10)
    of_this_size = variant.model_copy(update={"training": variant.training.model_copy(update=changes)})

    def work() -> float:
        started = time.perf_counter()
        train_variant("bench", of_this_size, compute, data, folder / "scratch", folder / "out")
        return time.perf_counter() - started

    return work


def _noise(folder: Path, count: int, side: int) -> Path:
    """A file of random pixels, written a part at a time."""
    path, random = folder / "digits.h5", np.random.default_rng(_SEED)
    with hdf5.create(path) as file:
        hdf5.head(file, name="noise", classes=("any",), sources={})
        for split, images in (("train", count), ("test", 64)):
            group = file.create_group(split)
            pixels = group.create_dataset("images", (images, 1, side, side), np.uint8)
            for first in range(0, images, 100_000):
                part = min(100_000, images - first)
                pixels[first : first + part] = random.integers(0, 256, (part, 1, side, side), np.uint8)
            group.create_dataset("labels", data=np.zeros(images, np.int64))
    return path


def _peak() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
