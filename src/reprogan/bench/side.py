"""One measurement in a process of its own: `python -m reprogan.bench.side WHAT VARIANT ISA IMAGES`.

WHAT is one of these; each prints a line of JSON.

ours, plain: images_per_second of training alone (no start-up), and peak_mib of this process; ours has reading, the
share of that time spent on getting batches. profile: {kind of work: its share of the time}. operations: of a step, for
each image.
"""

import gc
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reprogan.config import Compute, Parameters, Variant, load
from reprogan.entry import GARBAGE, checkout_root, pin_instruction_set

_WARM_UP_BATCHES = 20

# {kind of work: beginnings of kernels' names}; the first that fits.
_KINDS = {
    "convolutions": ("aten::conv", "aten::mkldnn_conv", "aten::thnn_conv", "aten::_slow_conv", "aten::slow_conv"),
    "products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear", "aten::linear"),
    "attention": ("aten::_scaled_dot", "aten::_flash", "aten::_softmax"),
    "normalisation": (
        "aten::native_batch",
        "aten::native_group",
        "aten::native_layer",
        "aten::batch_norm",
        "aten::var",
    ),
    "optimiser and average": ("aten::_fused", "aten::_foreach_lerp"),
    "random numbers": ("aten::uniform", "aten::normal", "aten::rand", "aten::random", "aten::bernoulli"),
    "copies": (
        "aten::copy",
        "aten::cat",
        "aten::clone",
        "aten::index",
        "aten::slice_back",
        "aten::constant_pad",
        "aten::fl",
    ),
    "other kernels": ("aten::", "mkldnn::"),
}


def main() -> None:
    """Measure one side and print the figures."""
    os.chdir(checkout_root())
    side, name, isa, images = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    params: Parameters = load()
    compute = params.compute.model_copy(update={"isa": isa})
    pin_instruction_set(compute)
    if side == "plain":
        os.environ.pop("GOMP_SPINCOUNT", None)  # a plain loop runs with the defaults of its libraries
    else:
        gc.set_threshold(GARBAGE)  # as in a stage
    from reprogan.bench.setup import at_its_last_size, operations

    variant = at_its_last_size(params.variant(name))
    if side == "operations":
        print(json.dumps({"operations": operations(variant)}))
        return
    measure = {"ours": _ours, "plain": _plain, "profile": _profile}[side]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(variant, compute, images, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak_mib": peak}))


def _ours(variant: Variant, compute: Compute, images: int, folder: Path) -> dict[str, float]:
    from reprogan.data.batches import Batch, TrainingImages
    from reprogan.training import run

    os.environ.setdefault("REPROGAN_TRACKING", "off")
    read = 0.0

    class Timed(TrainingImages):
        def batch(self, position: int, size: int) -> Batch:
            nonlocal read
            started = time.perf_counter()
            found = super().batch(position, size)
            read += time.perf_counter() - started
            return found

    vars(run)["TrainingImages"] = Timed
    training = variant.training.model_copy(update={"images": images, "milestones": ()})
    run.train_variant(
        "bench",
        variant.model_copy(update={"training": training}),
        compute,
        Path("data/processed") / f"{variant.data}.h5",
        folder / "scratch",
        folder / "out",
    )
    done = json.loads((folder / "scratch/live/bench/done.json").read_text())
    rate = done["images_per_second"]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # the follower, which has ended
    return {
        "images_per_second": rate,
        "reading": read * rate / images,
        "seconds": done["seconds"],
        "following": children.ru_utime + children.ru_stime,
    }


def _profile(variant: Variant, compute: Compute, images: int, folder: Path) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        seconds = _ours(variant, compute, images, folder)["seconds"]
    shares: dict[str, float] = dict.fromkeys(_KINDS, 0.0)
    for event in profiler.key_averages():
        kind = next((kind for kind, names in _KINDS.items() if event.key.startswith(names)), None)
        if kind is not None:
            shares[kind] += event.self_cpu_time_total / 1e6 / seconds
    shares["between kernels"] = max(0.0, 1 - sum(shares.values()))
    return shares


def _plain(variant: Variant, compute: Compute, images: int, folder: Path) -> dict[str, Any]:
    import torch

    from reprogan.bench.plain import images_per_second
    from reprogan.bench.setup import DATA, networks_of

    torch.set_num_threads(compute.threads)
    networks = networks_of(variant)
    warm_up = _WARM_UP_BATCHES * variant.training.batch_size
    data = DATA / f"{variant.data}.h5"
    return {"images_per_second": images_per_second(variant, networks, data, folder, images, warm_up)}


if __name__ == "__main__":
    main()
