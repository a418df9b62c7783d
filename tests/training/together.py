"""What torchrun starts twice for test_ranks.py: BatchNorm over parts of a batch; trainings, some of them stopped."""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from conftest import Bench
from reprogan.training import history
from reprogan.training.ranks import Ranks, joined
from reprogan.training.stopping import Stopped

STOP_AT = 4


def normalise(ranks: Ranks, folder: Path) -> None:
    """This process's half of a batch through BatchNorm: outputs, gradients and statistics to a file."""
    found = {}
    for name, layer, shape in (("2d", nn.BatchNorm2d(3), (8, 3, 4, 4)), ("1d", nn.BatchNorm1d(3), (8, 3))):
        values, weights = halves(shape, ranks)
        inputs = values.requires_grad_()
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
        ranks.synchronise(layer)
        out = layer(inputs)
        asked = (inputs, layer.weight, layer.bias)
        of_inputs, *of_layer = torch.autograd.grad((out * weights).sum(), asked)
        found |= {f"{name} out": out.detach(), f"{name} of inputs": of_inputs, f"{name} mean": layer.running_mean}
        found |= {f"{name} variance": layer.running_var, f"{name} steps": layer.num_batches_tracked}
        found |= dict(zip((f"{name} of weight", f"{name} of bias"), ranks.mean(of_layer), strict=True))
        found |= {f"{name} at rest": layer.eval()(values.detach()).detach()}
    save_file(found, folder / f"normalised-{ranks.rank}.safetensors")


def descend(ranks: Ranks, folder: Path) -> None:
    """The gradients of a mean over this process's half of a batch, agreed on: to a file."""
    (inputs, _), layer = halves((8, 5), ranks), nn.Linear(5, 2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.fill_(0.5)
    loss = layer(inputs).square().mean()
    gradients = ranks.mean(torch.autograd.grad(loss, list(layer.parameters())))
    save_file(dict(zip(("weight", "bias"), gradients, strict=True)), folder / f"gradients-{ranks.rank}.safetensors")


def halves(shape: tuple[int, ...], ranks: Ranks) -> list[torch.Tensor]:
    """This process's part of two fixed batches."""
    both = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3)) * 3 + 1
    return [whole.chunk(ranks.size)[ranks.rank].clone() for whole in both]


def main(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    bench = Bench(folder)
    append = history.History.append

    def stopped(self: history.History, images_seen: int, means: list[float]) -> None:
        append(self, images_seen, means)
        if len(self.rows) == STOP_AT:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(name: str, out: str) -> None:
        """Train until one of the processes, the second, is told to stop: both do, at the same image."""
        if ranks.rank == 1:
            history.History.append = stopped
        try:
            bench.train(name, out=out, ranks=ranks)
        except Stopped as request:
            (folder / f"{name}-stopped-{ranks.rank}").write_text(str(request))
        history.History.append = append

    with joined("cpu") as ranks:
        if ranks.size == 1:
            bench.train("gan", out="alone")
            return
        stop("gan", "left")  # first: a fingerprint names the code that is loaded
        normalise(ranks, folder)
        descend(ranks, folder)
        for name in names:
            bench.train(name, out="together", ranks=ranks)
            stop(name, "resumed")
            bench.train(name, out="resumed", ranks=ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
