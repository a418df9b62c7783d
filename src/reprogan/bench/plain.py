"""The loop people run today, written well: single images, a DataLoader, `.item()` for each batch's losses.

It trains the same networks with the same batch size, precision and optimiser settings as our trainer; it does without
everything that this project adds. The discriminator sees the generator's images detached, so they are made once.
"""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import datasets, transforms

from reprogan.bench.plain_steps import step_of
from reprogan.config import Variant
from reprogan.data import hdf5


def images_per_second(
    variant: Variant, networks: dict[str, nn.Module], data: Path, folder: Path, images: int, warm_up: int
) -> float:
    """Train on `images` images of the prepared file `data` (after `warm_up` more that are not timed).

    Digits are read as torchvision reads MNIST, from IDX files written below `folder`.
    """
    loader = DataLoader(
        _dataset(variant, data, folder), batch_size=variant.training.batch_size, shuffle=True, drop_last=True
    )
    step = step_of(variant, networks)
    seen, started = 0, 0.0
    while True:
        for batch, beside in loader:
            if seen >= warm_up and not started:
                started, seen = time.perf_counter(), 0
            if started and seen >= images:
                return seen / (time.perf_counter() - started)
            step(batch, beside)
            seen += len(batch)


def _dataset(variant: Variant, data: Path, folder: Path) -> "Dataset[Any]":
    split = hdf5.read(data, "train")
    if variant.data == "ring":
        return TensorDataset(torch.from_numpy(split.images), torch.from_numpy(split.labels))
    if split.sources is not None:
        return _Pairs(torch.from_numpy(split.images), torch.from_numpy(split.sources))
    if variant.data != "digits":
        beside = hdf5.answers_of(split, hdf5.describe(data)) if split.tokens is None else split.tokens
        return _InMemory(torch.from_numpy(split.images), torch.from_numpy(beside))
    _write_idx(folder / "MNIST/raw", split.images, split.labels)
    pixels: list[Any] = [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    if variant.view.size is not None:
        pixels = [transforms.Resize(variant.view.size), *pixels]
    return datasets.MNIST(str(folder), train=True, transform=transforms.Compose(pixels), download=False)


class _InMemory(Dataset[tuple[Tensor, Tensor]]):
    """Images in memory, scaled one by one."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index].float() / 127.5 - 1, self.labels[index]


class _Pairs(_InMemory):
    """The same, with images beside them."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index].float() / 127.5 - 1, self.labels[index].float() / 127.5 - 1


def _write_idx(folder: Path, images, labels) -> None:  # type: ignore[no-untyped-def]
    """The prepared training images as the IDX files that torchvision reads (its reader wants all four there)."""
    folder.mkdir(parents=True)
    count, _, height, width = images.shape
    for split in ("train", "t10k"):
        sizes = b"".join(size.to_bytes(4, "big") for size in (0x803, count, height, width))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(sizes + images.tobytes())
        sizes = b"".join(size.to_bytes(4, "big") for size in (0x801, count))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(sizes + labels.astype("uint8").tobytes())
