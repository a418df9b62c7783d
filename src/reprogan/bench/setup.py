"""A variant's networks and system as training builds them, around torch's own layers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from reprogan.config import NO_UPSTREAM, Variant
from reprogan.data import hdf5, view
from reprogan.data.batches import TrainingImages
from reprogan.models import architecture, trained
from reprogan.models.layers import stock
from reprogan.systems import system as systems
from reprogan.systems.recording import OFF
from reprogan.systems.system import Position
from reprogan.training.randomness import Randomness

DATA = Path("data/processed")


def at_its_last_size(variant: Variant) -> Variant:
    """A variant whose networks grow with these full-grown from the first image: a few batches would not get there."""
    if not variant.objective.get("growth"):
        return variant
    return variant.model_copy(update={"objective": variant.objective | {"growth": None}})


def networks_of(variant: Variant) -> dict[str, nn.Module]:
    """The networks, initialised from the variant's seed, of torch's own layers."""
    torch.manual_seed(variant.training.seed)
    description = hdf5.describe(DATA / f"{variant.data}.h5")
    answers = description.answers if variant.system == "features" else description.classes
    networks = architecture.build(
        variant.architecture,
        variant.network,
        view.image_shape(description, variant.view, ""),
        len(answers),
        words=len(description.vocabulary),
        source_channels=description.source_channels,
        upstream=None if variant.upstream.model == NO_UPSTREAM else trained.load(Path(variant.upstream.model)).networks,
    )
    for network in networks.values():
        stock(network)
    return networks


def operations(variant: Variant) -> float:
    """Floating-point operations of a training for each image seen, by torch's counter: of one step as it is defined.

    Of products and convolutions, a multiplication and an addition counted as two. What a faster way of computing the
    same adds or saves does not count.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    os.environ[OFF] = "off"  # a replayed step calls no network
    networks = networks_of(variant)
    batch = variant.training.batch_size
    path = DATA / f"{variant.data}.h5"
    description = hdf5.describe(path)
    count = min(description.counts["train"], batch * int(variant.objective.get("n_critic", 1)))
    split = hdf5.read(path, "train", np.arange(count))
    labels = split.labels if split.tokens is None else split.tokens
    if variant.system == "features":
        labels = hdf5.answers_of(split, description)
    cpu = torch.device("cpu")
    randomness = Randomness(variant.training.seed, cpu)
    images = TrainingImages(split.images, labels, cpu, randomness.permutation, variant.view.size, split.sources)
    seen = 0

    def next_batch():  # type: ignore[no-untyped-def]
        nonlocal seen
        seen += batch
        return images.batch(seen - batch, batch)

    system = systems.build(variant.system, networks, variant.objective, "", variant.training.images)
    with _Counting() as counting, sdpa_kernel(SDPBackend.MATH):
        system.step(next_batch, randomness, Position(0, 0.0))
    return counting.operations / seen


class _Counting(TorchDispatchMode):
    """Adds up torch's own counts. Its FlopCounterMode has hooks on modules that gradients of gradients do not bear."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, kernel: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = kernel(*args, **kwargs)
        if (count := flop_registry.get(kernel._overloadpacket)) is not None:
            self.operations += count(*args, **kwargs, out_val=result)
        return result
