"""Kernels against those that took their place, and against some that did not: `python -m reprogan.bench.kernels ISA`.

One row a way of computing something that training needs, at a shape that it has there. What is not used is shown, too:
it was slower, or not faster enough to be worth it.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from reprogan.bench.measure import Row, in_a_process, table
from reprogan.config import load
from reprogan.entry import checkout_root, pin_instruction_set

_SECONDS = 0.02  # a try
_TRIES = 9


def rows(isas: tuple[str, ...]) -> list[Row]:
    """A row a way, at each instruction set."""
    return [{"isa": isa, **row} for isa in isas for row in in_a_process("reprogan.bench.kernels", isa)["rows"]]


def markdown(found: list[Row]) -> str:
    """A line a way, the instruction sets beside each other."""
    isas = list(dict.fromkeys(row["isa"] for row in found))
    headings = ["what", "instead of"]
    for isa in isas:
        headings += [f"{isa}: that, μs", "this, μs", "ratio"]
    lines = []
    for first in (row for row in found if row["isa"] == isas[0]):
        cells = [first["what"], first["instead"]]
        for isa in isas:
            (row,) = (row for row in found if (row["isa"], row["what"]) == (isa, first["what"]))
            cells += [f"{row['that']:,.0f}", f"{row['this']:,.0f}", f"{row['that'] / row['this']:.2f}"]
        lines.append([*cells, "yes" if first["used"] else "no"])
    return table([*headings, "used"], lines)


def main() -> None:
    """Measure and print a line of JSON."""
    os.chdir(checkout_root())
    params = load()
    pin_instruction_set(params.compute.model_copy(update={"isa": sys.argv[1]}))
    import torch

    torch.set_num_threads(params.compute.threads)
    torch.manual_seed(1)
    print(json.dumps({"rows": [_row(*way) for way in _ways()]}))


def _row(what: str, instead: str, used: bool, this: Callable[[], object], that: Callable[[], object]) -> Row:
    times: tuple[list[float], list[float]] = [], []
    for _ in range(_TRIES):
        for work, taken in ((this, times[0]), (that, times[1])):
            taken.append(_microseconds(work))
    this_time, that_time = map(statistics.median, times)
    return {"what": what, "instead": instead, "used": used, "this": this_time, "that": that_time}


def _microseconds(work: Callable[[], object]) -> float:
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < _SECONDS or count < 3:
        work()
        count += 1
    return (time.perf_counter() - started) / count * 1e6


def _ways() -> Iterator[tuple[str, str, bool, Callable[[], object], Callable[[], object]]]:
    """(what, instead of what, whether training uses it, this, that)"""
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import avg_pool2d, dropout, fold, pad

    from reprogan.models import convolution, dcgan64
    from reprogan.models.layers import Dropout, Tanh, shrunk
    from reprogan.models.normalisation import LayerNorm2d
    from reprogan.models.product import Product
    from reprogan.models.stackgan import Smoothing

    last = torch.channels_last

    class Straight(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.contiguous()

    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.contiguous(memory_format=last)

    def numbers(*shape: int) -> Tensor:
        x = torch.randn(shape)
        return x.contiguous(memory_format=last) if x.dim() == 4 else x

    def twice(layer: nn.Module, x: Tensor) -> Callable[[], object]:
        """Gradients of a gradient, as a penalty on it needs them."""
        layer, x = layer.to(memory_format=last), x.clone().requires_grad_()
        y = layer(x)
        slope = torch.randn_like(y).requires_grad_()
        (gradient,) = torch.autograd.grad(y, x, slope, create_graph=True)
        direction, weights = torch.randn_like(gradient), [slope, *layer.parameters()][:2]
        return lambda: torch.autograd.grad(gradient, weights, direction, retain_graph=True)

    def once(layer: nn.Module, x: Tensor) -> Callable[[], object]:
        """The result and all gradients."""
        layer, x = layer.to(memory_format=last), x.clone().requires_grad_()

        def work() -> None:
            y = layer(x)
            torch.autograd.grad(y, [x, *layer.parameters()], torch.ones_like(y))

        return work

    def attending(way: Callable[..., Tensor], *parts: Tensor) -> Callable[[], object]:
        """The result and all gradients."""

        def work() -> None:
            y = way(*parts)
            torch.autograd.grad(y, parts, torch.ones_like(y))

        return work

    arguments: Any
    for what, x, *arguments in (
        ("grouped 3×3, 32 channels, 14×14, batch 32", numbers(32, 32, 14, 14), 32, 32, 3, 1, 1, 1, 2),
        ("4×4 by 2, 3 to 8 channels, 128×128, batch 8", numbers(8, 3, 128, 128), 3, 8, 4, 2, 1),
    ):
        yield (
            f"second derivative of a convolution: {what}", "torch's own", True,
            twice(convolution.Conv2d(*arguments), x), twice(nn.Conv2d(*arguments), x),
        )  # fmt: skip
    for what, used, x, *arguments in (
        ("to 1 channel, 28×28, batch 32", True, numbers(32, 16, 14, 14), 16, 1, 4, 2, 1),
        ("to 1 channel, 64×64, batch 32", True, numbers(32, 8, 32, 32), 8, 1, 4, 2, 1),
        ("8×8 to 3 channels, 128×128, batch 8", True, numbers(8, 16, 61, 61), 16, 3, 8, 2),
        ("to 8 channels, 32×32, batch 32", True, numbers(32, 16, 16, 16), 16, 8, 4, 2, 1),
        ("to 32 channels, 8×8, batch 32", False, numbers(32, 64, 4, 4), 64, 32, 4, 2, 1),
    ):
        layer = nn.ConvTranspose2d(*arguments).to(memory_format=last).requires_grad_(False)
        kind = convolution._Kind(layer.stride, layer.padding, True, 1)  # type: ignore[arg-type]
        size = layer(x).shape[2:]
        yield (
            f"transposed convolution by the remainders of its stride, {what}", "oneDNN's own", used,
            partial(convolution._transposed, x, layer.weight, layer.bias, kind, *size),
            partial(layer, x),
        )  # fmt: skip
    x, w = numbers(32, 8, 32, 32), numbers(8, 1, 4, 4)
    columns = x.permute(0, 2, 3, 1).reshape(32, 1024, 8)
    yield (
        "the same to 1 channel, 64×64, as a product and `fold`", "oneDNN's own", False,
        lambda: fold((columns @ w.view(8, 16)).transpose(1, 2), (64, 64), 4, padding=1, stride=2),
        lambda: torch.nn.functional.conv_transpose2d(x, w, None, 2, 1),
    )  # fmt: skip
    yield (
        "kernel as large as the image, 64 channels of 4×4 to 1, batch 32: a product", "a convolution", True,
        once(convolution.Conv2d(64, 1, 4), numbers(32, 64, 4, 4)), once(nn.Conv2d(64, 1, 4), numbers(32, 64, 4, 4)),
    )  # fmt: skip
    yield (
        "from one position, 100 channels to 64 of 4×4, batch 32: a product", "a transposed convolution", True,
        once(convolution.ConvTranspose2d(100, 64, 4), numbers(32, 100, 1, 1)),
        once(nn.ConvTranspose2d(100, 64, 4), numbers(32, 100, 1, 1)),
    )  # fmt: skip
    for used, shape in ((True, (8, 3, 128, 128)), (True, (32, 8, 32, 32)), (False, (32, 32, 8, 8))):
        ours = (
            convolution.BatchNorm2d(shape[1]) if used else nn.Sequential(Straight(), nn.BatchNorm2d(shape[1]), Last())
        )
        yield (
            f"BatchNorm of {shape[1]} channels, {shape[2]}×{shape[3]}, batch {shape[0]}, a channel after the other",
            "channels last", used, once(ours, numbers(*shape)), once(nn.BatchNorm2d(shape[1]), numbers(*shape)),
        )  # fmt: skip
    x = numbers(16, 32, 7, 7)
    yield (
        "second derivative of LayerNorm, 16 of 32 channels of 7×7", "torch's own", True,
        twice(LayerNorm2d(32), x), twice(nn.GroupNorm(1, 32), x),
    )  # fmt: skip
    for used, positions, width in ((True, 256, 32), (False, 1024, 16)):
        parts = [torch.randn(16, positions, size, requires_grad=True) for size in (width // 8, width // 8, width)]
        yield (
            f"self-attention of 16 images, {positions} positions, {width} channels: products and softmax",
            "a fused kernel", used,
            attending(dcgan64._by_its_map, *parts), attending(dcgan64._by_a_fused_kernel, *parts),
        )  # fmt: skip
    for used, rows_, length, outputs in ((True, 64, 784, 100), (False, 64, 64, 64)):
        a, b = numbers(rows_, length), numbers(outputs, length)
        yield (
            f"product of {rows_}×{length} and {length}×{outputs} by oneDNN", "MKL's", used,
            partial(Product.apply, a, b, None), partial(torch.matmul, a, b.t()),
        )  # fmt: skip
    flat = numbers(64, 784)
    yield "tanh of 64×784 as 2 σ(2x) - 1", "torch's own", True, lambda: Tanh()(flat), lambda: torch.tanh(flat)
    drop, many = Dropout(0.5), numbers(4, 64, 32, 32)
    yield (
        "dropout of 262,144 numbers by random bytes", "torch's own", True,
        partial(drop, many), partial(dropout, many, 0.5),
    )  # fmt: skip
    images, smooth = numbers(4, 3, 128, 128), Smoothing()
    yield (
        "means of neighbouring pixels by shifted sums, 4 of 128×128", "pooling", True,
        lambda: smooth(images),
        lambda: avg_pool2d(pad(images, (1, 0, 1, 0), mode="replicate"), 2, stride=1),
    )  # fmt: skip
    yield (
        "means over squares of 2×2 by sums of every other row and column, 4 of 128×128", "pooling", True,
        lambda: shrunk(images, 2), lambda: avg_pool2d(images, 2),
    )  # fmt: skip


if __name__ == "__main__":
    main()
