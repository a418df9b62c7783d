"""One measurement in a process of its own: `python -m reprogan.bench.side ours|plain VARIANT ISA IMAGES`.

Prints a line of JSON: images_per_second of training alone (no start-up), peak_mib of this process.
"""

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from reprogan.config import NO_UPSTREAM, Compute, Parameters, Variant, load
from reprogan.entry import checkout_root, pin_instruction_set

_WARM_UP_BATCHES = 20
_DATA = Path("data/processed")


def main() -> None:
    """Measure one side and print the figures."""
    os.chdir(checkout_root())
    side, name, isa, images = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    params: Parameters = load()
    variant = params.variant(name)
    if variant.objective.get("growth"):  # both sides at the last size at once: a few batches would not reach it
        variant = variant.model_copy(update={"objective": variant.objective | {"growth": None}})
    compute = params.compute.model_copy(update={"isa": isa})
    pin_instruction_set(compute)
    if side == "plain":
        os.environ.pop("GOMP_SPINCOUNT", None)  # a plain loop runs with the defaults of its libraries
    measure = _ours if side == "ours" else _plain
    with tempfile.TemporaryDirectory() as folder:
        rate = measure(variant, compute, images, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images_per_second": rate, "peak_mib": peak}))


def _ours(variant: Variant, compute: Compute, images: int, folder: Path) -> float:
    from reprogan.training.run import train_variant

    os.environ["REPROGAN_TRACKING"] = "off"
    training = variant.training.model_copy(update={"images": images, "milestones": ()})
    train_variant(
        "bench",
        variant.model_copy(update={"training": training}),
        compute,
        _DATA / f"{variant.data}.h5",
        folder / "scratch",
        folder / "out",
    )
    done = json.loads((folder / "scratch/live/bench/done.json").read_text())
    return done["images_per_second"]


def _plain(variant: Variant, compute: Compute, images: int, folder: Path) -> float:
    import torch

    from reprogan.bench.plain import images_per_second
    from reprogan.data import hdf5, view
    from reprogan.models import architecture, trained
    from reprogan.models.layers import stock

    torch.set_num_threads(compute.threads)
    torch.manual_seed(variant.training.seed)
    data = _DATA / f"{variant.data}.h5"
    description = hdf5.describe(data)
    shape = view.image_shape(description, variant.view, "")
    answers = description.answers if variant.system == "features" else description.classes
    upstream = None if variant.upstream.model == NO_UPSTREAM else trained.load(Path(variant.upstream.model)).networks
    networks = architecture.build(
        variant.architecture,
        variant.network,
        shape,
        len(answers),
        words=len(description.vocabulary),
        source_channels=description.source_channels,
        upstream=upstream,
    )
    for network in networks.values():
        stock(network)  # people write torch's own layers
    return images_per_second(variant, networks, data, folder, images, _WARM_UP_BATCHES * variant.training.batch_size)


if __name__ == "__main__":
    main()
