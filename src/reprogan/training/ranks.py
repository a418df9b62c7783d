"""A training by several processes: each has a part of every batch and the same weights, and at every step they agree.

What torch's DistributedDataParallel does in hooks of `backward()` is done where gradients become a step
(systems/adam.py): steps here ask for the gradients of one network's weights alone, by `torch.autograd.grad`, which
those hooks never see.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from reprogan.errors import UserError
from reprogan.models.convolution import BatchNorm2d
from reprogan.training.checkpoint import Checkpoints, State

STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"


@dataclass(frozen=True)
class Ranks:
    """Which of the processes this one is, 0 to `size` - 1; 0 writes the files. One alone need not agree on anything."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def part(self, batch_size: int, where: str) -> int:
        """How much of every batch each process has. Raises UserError if it cannot be divided."""
        if batch_size % self.size:
            raise UserError(
                f"{where}training.batch_size is {batch_size}; launch.processes is {self.size}; expected a batch that "
                "can be divided among them"
            )
        return batch_size // self.size

    def mean(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The mean over processes of each tensor, by one message for all."""
        if self.size == 1:
            return tuple(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers: of signals, whether any was asked to stop."""
        if self.size == 1:
            return number
        told = torch.tensor(number, device=_device())
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return int(told)

    def newest(self, checkpoints: Checkpoints) -> tuple[int, State] | None:
        """(images seen, state) of the newest checkpoint of the first process, which may be alone in having them."""
        if self.size == 1:
            return checkpoints.newest()
        buffer = io.BytesIO()
        if self.is_first and (found := checkpoints.newest()):
            torch.save({"images_seen": found[0], "state": found[1]}, buffer)
        length = self.largest(len(buffer.getvalue()))
        if length == 0:
            return None
        content = torch.zeros(length, dtype=torch.uint8, device=_device())
        if self.is_first:
            content.copy_(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8))
        dist.broadcast(content, 0)
        saved = torch.load(io.BytesIO(content.cpu().numpy().tobytes()), weights_only=True, map_location="cpu")
        return saved["images_seen"], saved["state"]

    def expect_one_training(self, identity: str, name: str) -> None:
        """Raise UserError where processes were started for trainings that differ: in parameters, data or code."""
        if self.differs(hashlib.sha256(identity.encode()).hexdigest()):
            raise UserError(
                f"variants.{name}: the {self.size} processes were started with different parameters, data or code; "
                "expected one commit, and the same prepared data on every node"
            )

    def expect_the_same(self, digest: str, name: str, images_seen: int) -> None:
        """Raise UserError where the processes' weights, told by their sha256, are no longer the same."""
        if self.differs(digest):
            raise UserError(
                f"variants.{name}: at {images_seen:,} images the {self.size} processes hold different weights; "
                "expected the same kernels for all: one kind of machine, one version of torch"
            )

    def differs(self, digest: str) -> bool:
        """Whether any process has another sha256 (hex) than the first."""
        if self.size == 1:
            return False
        mine = torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8, device=_device())
        first = mine.clone()
        dist.broadcast(first, 0)
        return bool(self.largest(int(not torch.equal(mine, first))))

    def synchronise(self, network: nn.Module) -> None:
        """Have BatchNorm, wherever it is in `network`, normalise by the whole batch and not by a process's part."""
        if self.size > 1:
            for module in network.modules():
                module.__class__ = _SYNCED.get(type(module), type(module))


ALONE = Ranks()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started with this one, on `device`; where it started none, this one alone."""
    if STARTED_BY_TORCHRUN not in os.environ:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    """Where tensors must lie that go from process to process."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


class _Sum(torch.autograd.Function):
    """The sum of a tensor over processes; its gradient is that, too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _Synced(nn.modules.batchnorm._BatchNorm):
    """BatchNorm by the statistics of all processes' parts of a batch, which are of one size (Ioffe and Szegedy 2015).

    torch's own SyncBatchNorm does this on GPUs alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) => the same shape, normalised per channel; in eval mode by the running statistics."""
        if not self.training:
            return super().forward(input)
        others = [0, *range(2, input.dim())]
        shape = [1, -1, *(1 for _ in others[1:])]
        count = input.numel() // input.shape[1] * dist.get_world_size()
        mean = cast(Tensor, _Sum.apply(input.sum(others))) / count
        centred = input - mean.view(shape)
        variance = cast(Tensor, _Sum.apply(centred.square().sum(others))) / count
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is None or self.bias is None:
            return normalised
        return normalised * self.weight.view(shape) + self.bias.view(shape)


class _Synced1d(_Synced, nn.BatchNorm1d):
    pass


class _Synced2d(_Synced, nn.BatchNorm2d):
    pass


_SYNCED: dict[type, type[nn.Module]] = {
    nn.BatchNorm1d: _Synced1d,
    nn.BatchNorm2d: _Synced2d,
    BatchNorm2d: _Synced2d,
}
