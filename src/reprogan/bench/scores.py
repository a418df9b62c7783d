"""Time and memory of scoring, side by side with torchmetrics and torch-fidelity, the same extractor plugged in.

In a repository whose pipeline has run and in which `make test` has set up the other two. Each side runs in a process of
its own, from the same images in memory to its scores; its peak memory is that process's. Ours gives precision, recall,
density, coverage, diversity and memorisation besides; torchmetrics has no nearest neighbours, torch-fidelity precision
and recall of them.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reprogan.bench.measure import Row, in_a_process, said, table
from reprogan.config import Evaluation, Parameters, load
from reprogan.entry import checkout_root, pin_instruction_set
from reprogan.errors import UserError

SIDES = ("ours", "torchmetrics", "torch-fidelity")
_VARIANT, _REFERENCE = "dcgan", "digits"
_COUNT = 10_000


def main() -> None:
    """Measure one side and print a line of JSON: seconds, peak memory, scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=_COUNT, help="images on each side")
    parser.add_argument("--side", choices=SIDES, required=True)
    arguments = parser.parse_args()
    os.chdir(checkout_root())
    pin_instruction_set(load().compute)
    print(json.dumps(measured(arguments.side, arguments.count)))


def check() -> None:
    """Raise UserError if a library of another side is not installed."""
    if missing := [library for library in ("torchmetrics", "torch_fidelity") if find_spec(library) is None]:
        raise UserError(
            f"bench: scoring: found no {missing[0]}; expected the other sides' libraries; run `make setup-test`"
        )


def rows(params: Parameters, rounds: int) -> list[Row]:
    """A row a side, in turn."""
    found: list[list[Row]] = [[] for _ in SIDES]
    for _ in range(rounds):
        for side, of_side in zip(SIDES, found, strict=True):
            of_side.append(in_a_process("reprogan.bench.scores", "--side", side))
            said(f"scoring, {side}: {of_side[-1]['seconds']:.1f} s")
    return [
        {"side": side, **of_side[0], "seconds": statistics.median(row["seconds"] for row in of_side)}
        for side, of_side in zip(SIDES, found, strict=True)
    ]


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    keys = ("frechet", "kernel", "inception")
    lines = [
        (row["side"], f"{row['seconds']:.1f}", f"{row['memory']:,.0f}", *(f"{row['scores'][key]:.4g}" for key in keys))
        for row in found
    ]
    return table(("side", "seconds", "peak memory, MiB", "Fréchet", "kernel", "inception"), lines)


def measured(side: str, count: int) -> Row:
    """One side, in this process."""
    params = load()
    import torch

    from reprogan.data import hdf5
    from reprogan.evaluation.inputs import chosen, extractor_for
    from reprogan.models import trained
    from reprogan.sampling.generate import generate

    torch.set_num_threads(params.compute.threads)
    block = params.references[_REFERENCE]
    data_path = Path("data/processed") / f"{block.data}.h5"
    extractor, data = extractor_for(Path("models") / block.extractor, data_path)
    split: hdf5.Split = "test" if count <= data.counts["test"] else "train"
    real, _ = chosen(data_path, split, Evaluation(seed=1, count=count, seeds=1))
    fake = torch.cat(list(generate(trained.load(Path("models") / _VARIANT), count, seed=1)))
    run: Callable[..., dict[str, float]] = {"ours": _ours, "torchmetrics": _torchmetrics}.get(side, _torch_fidelity)
    before = time.perf_counter()
    scores = run(extractor, real, fake, data.classes)
    seconds = time.perf_counter() - before
    return {
        "seconds": seconds,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "scores": scores,
    }


def _ours(extractor: Any, real: Any, fake: Any, classes: tuple[str, ...]) -> dict[str, float]:
    from reprogan.evaluation.extractors import blocks_of, extract
    from reprogan.evaluation.memorisation import find_copies
    from reprogan.evaluation.quality import quality, real_side

    of_real = real_side(extract(extractor, blocks_of(real)), "real", classes)
    found = extract(extractor, blocks_of(fake))
    scores = quality(found, of_real, 1, "fake")
    find_copies(of_real.balls.points, of_real.balls.points)
    return {
        "frechet": scores["frechet_distance"],
        "kernel": scores["kernel_distance"],
        "inception": scores["inception_score"],
    }


def _torchmetrics(extractor: Any, real: Any, fake: Any, classes: tuple[str, ...]) -> dict[str, float]:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    features, logits = _plugged(extractor.network, False), _plugged(extractor.network, True)
    frechet = FrechetInceptionDistance(feature=features)
    frechet.set_dtype(torch.float64)
    kernel = KernelInceptionDistance(feature=features, subsets=20, subset_size=1000)
    inception = InceptionScore(feature=logits, normalize=False, splits=1)
    torch.manual_seed(1)
    for images, is_real in ((real, True), (fake, False)):
        for block in images.split(50):
            for metric in (frechet, kernel):
                metric.update(block, real=is_real)
            if not is_real:
                inception.update(block)
    return {
        "frechet": float(frechet.compute()),
        "kernel": float(kernel.compute()[0]),
        "inception": float(inception.compute()[0]),
    }


def _torch_fidelity(extractor: Any, real: Any, fake: Any, classes: tuple[str, ...]) -> dict[str, float]:
    import torch
    import torch_fidelity
    from torch.utils.data import Dataset
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    from reprogan.data.batches import to_float

    class Plugged(FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: Any, **_: Any) -> None:
            super().__init__(name, features_list)
            self.hidden = [extractor.network]

        def forward(self, images: Any) -> Any:
            features = self.hidden[0].features(to_float(images))
            made = {"features": features, "logits": self.hidden[0].head(features)}
            return tuple(made[name] for name in self.features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Any:
            return torch.zeros((1, 1, 28, 28), dtype=torch.uint8)

    class Images(Dataset):
        def __init__(self, images: Any) -> None:
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> Any:
            return self.images[index]

    torch_fidelity.register_feature_extractor("plugged", Plugged)
    found = torch_fidelity.calculate_metrics(
        input1=Images(fake), input2=Images(real), feature_extractor="plugged", fid=True, isc=True, kid=True, prc=True,
        isc_splits=1, kid_subsets=20, kid_subset_size=1000, batch_size=50, cuda=False, cache=False, verbose=False,
        samples_find_deep=False, save_cpu_ram=True,
    )  # fmt: skip
    return {
        "frechet": found["frechet_inception_distance"],
        "kernel": found["kernel_inception_distance_mean"],
        "inception": found["inception_score_mean"],
    }


def _plugged(network: Any, logits: bool) -> Any:
    """The extractor as torchmetrics wants one: uint8 images in, features or logits out."""
    import torch

    from reprogan.data.batches import to_float

    class Plugged(torch.nn.Module):
        num_features = network.head.in_features

        def forward(self, images: Any) -> Any:  # the network is no submodule: `set_dtype` must not make it double
            features = network.features(to_float(images))
            return network.head(features) if logits else features.double()

    return Plugged()


if __name__ == "__main__":
    main()
