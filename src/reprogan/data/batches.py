"""Training batches from a data set that is resident on the device as it was prepared: gathered and scaled there."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reprogan.data.hdf5 import POINT
from reprogan.data.view import enlarge


@dataclass(frozen=True)
class Batch:
    """`images` float32 (N, C, H, W) in [-1, 1] and what is known of each.

    `labels` int64 (N,), or (N, A) answers, or the (N, T) tokens of captions; `sources` (N, C', H, W) as the images.
    """

    images: Tensor
    labels: Tensor
    sources: Tensor | None = None


# As tensors, because a number in an operation is made one each time, which on small batches shows.
_MIDDLE = torch.tensor(127.5)
_ONE = torch.tensor(1.0)
_AHEAD = 1 << 20  # bytes of images that are gathered at a time


def to_float(images: Tensor) -> Tensor:
    """uint8 (...) in 0..255 => float32 (...) in [-1, 1]; points, which are float32 already, as they are."""
    if images.dtype == torch.float32:
        return images
    return images.to(torch.float32).div_(_MIDDLE).sub_(_ONE)


def to_uint8(images: Tensor) -> Tensor:
    """float (...) in [-1, 1] => uint8 (...) in 0..255, rounded to the nearest; what lies outside is clamped."""
    return images.add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def as_data(images: Tensor) -> Tensor:
    """What a generator made, as the data it learns from: uint8 (N, C, H, W), or points float32 (N, 2, 1, 1)."""
    return images.to(torch.float32) if images.shape[1:] == POINT else to_uint8(images)


class ResidentImages:
    """A shuffled, endless stream of a data set's images, addressed by position.

    Position p is image `permutation(p // N)[p % N]` of the N: batches cross the end of an epoch without dropping
    or repeating an image, and any batch can be drawn again by itself. Small batches are gathered several at a time.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        device: torch.device,
        permutation: Callable[[int, int], Tensor],
        size: int | None = None,
        sources: Tensor | None = None,
    ) -> None:
        """`images` and `sources` uint8 (N, C, H, W), or points float32 (N, 2, 1, 1); `labels` int64 (N, …).

        `permutation(epoch, N)` gives the order of an epoch; batches are enlarged to `size` (see data/view.py).
        """
        self.images = images.to(device)
        self.labels = labels.to(device)
        self.sources = None if sources is None else sources.to(device)
        self._size = size
        self._permutation = permutation
        self._epochs: dict[int, Tensor] = {}
        self._ahead = min(_AHEAD // (self.images[0].numel() * self.images.element_size()), len(labels))
        self._gathered = 0  # the position of the first of:
        self._images, self._labels = self.images[:0], self.labels[:0]
        self._sources = None if self.sources is None else self.sources[:0]

    def batch(self, position: int, size: int) -> Batch:
        """The `size` images from `position` on."""
        start = position - self._gathered
        if start < 0 or start + size > len(self._labels):
            chosen = self._order(position, max(size, self._ahead // size * size))
            self._images, self._labels = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
            self._sources = None if self.sources is None else self.sources.index_select(0, chosen)
            self._gathered, start = position, 0
        images = to_float(self._images[start : start + size])
        sources = None if self._sources is None else to_float(self._sources[start : start + size])
        return Batch(enlarge(images, self._size), self._labels[start : start + size], sources)

    def _order(self, position: int, size: int) -> Tensor:
        parts: list[Tensor] = []
        while size > 0:
            epoch, start = divmod(position, len(self.labels))
            part = self._epoch(epoch)[start : start + size]
            parts.append(part)
            position += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            # The epoch before may still be needed: a batch can cross the boundary.
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = self._permutation(epoch, len(self.labels)).to(self.images.device)
        return self._epochs[epoch]
