"""A trained classifier as feature extractor: features and answers of many images in one pass, block by block."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.models.trained import Description, load, main_weights

# Fixed, because kernels are chosen by the batch's size: another block could change the last bits of a feature. Few, so
# that what the layers make of them stays in the caches: on faces, three times as fast as 500.
BLOCK = 50


class Rows(Protocol):
    """Images uint8 (N, C, H, W) that can be read some at a time: a tensor, a dataset of a file, a folder's pictures."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


@dataclass(frozen=True)
class Extractor:
    """A trained classifier or encoder and where it comes from: its variant (`description`), its weights' sha256."""

    network: nn.Module
    description: Description
    sha256: str
    stacked: bool = False
    """Whether it is a classifier of single digits that reads the channels of stacked ones one by one."""


@dataclass(frozen=True)
class Extracted:
    """What an extractor made of N images: `features` float32 (N, D), `logits` float32 (N, K); K is 0 for an encoder."""

    features: Tensor
    logits: Tensor

    def __getitem__(self, rows: slice | Tensor) -> "Extracted":
        """The same of some of the images."""
        return Extracted(self.features[rows], self.logits[rows])


class ByChannel(nn.Module):
    """A classifier of images of one channel, for images (N, C, H, W): what it makes of each channel, side by side."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def features(self, images: Tensor) -> Tensor:
        """Features (N, C · D)."""
        channels = images.reshape(-1, 1, *images.shape[2:]).contiguous(memory_format=torch.channels_last)
        return self.classifier.features(channels).reshape(len(images), -1)  # type: ignore[operator]

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, C · K)."""
        head: nn.Linear = self.classifier.head  # type: ignore[assignment]
        return head(features.reshape(-1, head.in_features)).reshape(len(features), -1)


def load_extractor(folder: Path) -> Extractor:
    """The classifier in `models/<variant>`, or the encoder that learned by denoising.

    Raises UserError if it is missing, damaged or neither.
    """
    trained = load(folder)
    for name in ("classifier", "encoder"):
        network = trained.networks.get(name)
        if network is not None and hasattr(network, "features"):
            network.to(memory_format=torch.channels_last)  # in which convolutions run half as long again
            # Of the file that names the model everywhere: of an encoder its decoder's, which was trained with it.
            return Extractor(
                network, trained.description, hashlib.sha256(main_weights(folder).read_bytes()).hexdigest()
            )
    raise UserError(
        f"{folder}: a model of system {trained.description.system!r}; expected a classifier; "
        "name one under `references` in params.yaml"
    )


def extract(extractor: Extractor, blocks: Iterable[Tensor]) -> Extracted:
    """Features and logits of uint8 images (n, C, H, W), a block at a time: only the features are held.

    Raises UserError if the classifier answers with numbers that are not finite.
    """
    features, logits = [], []
    with torch.inference_mode():
        for block in blocks:
            images = to_float(block).contiguous(memory_format=torch.channels_last)
            features.append(extractor.network.features(images))  # type: ignore[operator]
            head = getattr(extractor.network, "head", None)
            logits.append(head(features[-1]) if head else features[-1][:, :0])
    found = Extracted(torch.cat(features), torch.cat(logits))
    if not bool(torch.isfinite(found.features).all() and torch.isfinite(found.logits).all()):
        name = extractor.description.variant
        raise UserError(
            f"models/{name}: answers that are not finite; expected numbers; run `dvc repro -f train@{name}`"
        )
    return found


def blocks_of(images: Rows, rows: Tensor | None = None) -> Iterator[Tensor]:
    """`images` (N, C, H, W), uint8, or those of the rising `rows`, in blocks; from a file little more is in memory."""
    for start in range(0, len(images) if rows is None else len(rows), BLOCK):
        if rows is None:
            block = images[start : start + BLOCK]
        else:
            some = rows[start : start + BLOCK]
            block = images[int(some[0]) : int(some[-1]) + 1][(some - some[0]).numpy()]
        yield block if isinstance(block, Tensor) else torch.from_numpy(block)
