"""Training batches from a data set that is resident on the device as it was prepared, or too large for it."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reprogan.data.hdf5 import POINT, RowsInFile
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
_AHEAD_IN_A_FILE = 1 << 24


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


class TrainingImages:
    """A shuffled, endless stream of a data set's images, addressed by position.

    Position p is image `permutation(p // N)[p % N]` of the N: batches cross the end of an epoch without dropping
    or repeating an image, and any batch can be drawn again by itself. Small batches are gathered and scaled several at
    a time; what `batch` gives may share memory with the next, and is only to be read.

    What lies in a file instead of in memory (`hdf5.read` says when) stays there: a thread reads on while training goes
    on. The batches are the same.

    Batches lie in memory as `layout` says: where networks want channels last, each convolution would have to turn an
    image's around for itself, several times a step.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        device: torch.device,
        permutation: Callable[[int, int], Tensor],
        size: int | None = None,
        sources: np.ndarray | None = None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """`images` and `sources` uint8 (N, C, H, W), or points float32 (N, 2, 1, 1); `labels` int64 (N, …).

        `permutation(epoch, N)` gives the order of an epoch; batches are enlarged to `size` (see data/view.py).
        """
        self.is_streamed = isinstance(images, np.memmap | RowsInFile)
        self.waited = 0.0  # seconds for the file, in all
        self.labels = torch.from_numpy(labels).to(device)
        pixels = [images] if sources is None else [images, sources]
        self._files = pixels if self.is_streamed else []
        self._device, self._size, self._layout = device, size, layout
        self._resident = [] if self.is_streamed else [self._tensor(one).to(device) for one in pixels]
        self._permutation = permutation
        self._epochs: dict[int, Tensor] = {}
        ahead = _AHEAD_IN_A_FILE if self.is_streamed else _AHEAD
        self._ahead = min(ahead // images[0].nbytes, len(labels))
        self._gathered = self._part = 0  # the position of the first of these, and the images in each of them:
        self._parts: list[tuple[Tensor, ...]] = []  # labels, images and, where there are any, sources
        self._reader = ThreadPoolExecutor(1, "reader") if self.is_streamed else None
        self._coming: tuple[tuple[int, int], Future[list[Tensor]]] | None = None

    def batch(self, position: int, size: int) -> Batch:
        """The `size` images from `position` on."""
        place, between = divmod(position - self._gathered, size)
        if between or size != self._part or not 0 <= place < len(self._parts):
            self._gather(position, size)
            place = 0
        labels, images, *sources = self._parts[place]
        return Batch(enlarge(images, self._size), labels, sources[0] if sources else None)

    def _gather(self, position: int, size: int) -> None:
        count = max(size, self._ahead // size * size)
        chosen = self._order(position, count)
        if self._reader is None:
            gathered = [_chosen(pixels, chosen) for pixels in self._resident]
        else:
            started = time.perf_counter()
            wanted, self._coming = self._coming, None
            gathered = wanted[1].result() if wanted and wanted[0] == (position, count) else self._read(chosen)
            self.waited += time.perf_counter() - started
            following = position + count, count
            self._coming = following, self._reader.submit(self._read, self._order(*following))
        whole = [self.labels.index_select(0, chosen), *(to_float(pixels.to(self._device)) for pixels in gathered)]
        self._parts = list(zip(*(one.split(size) for one in whole), strict=True))
        self._gathered, self._part = position, size

    def _read(self, chosen: Tensor) -> list[Tensor]:
        rows = chosen.cpu().numpy()
        return [self._tensor(pixels[rows]) for pixels in self._files]

    def _tensor(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(images).contiguous(memory_format=self._layout)

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
            self._epochs[epoch] = self._permutation(epoch, len(self.labels)).to(self._device)
        return self._epochs[epoch]


def _chosen(images: Tensor, rows: Tensor) -> Tensor:
    """`images[rows]`, laid out in memory as `images` are."""
    if images.is_contiguous():
        return images.index_select(0, rows)
    return images.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
