"""What the machine can do at best: `python -m reprogan.bench.ceilings ISA TRIES`, measured as the training is.

A matrix product and a convolution that are large enough for the library to be at its best, at the precision and with
the threads of `compute`, and a copy of memory. Each is the fastest of a few shapes, and of each shape the median of
TRIES.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from reprogan.bench.measure import Row, in_a_process, table
from reprogan.config import Compute, Parameters, load
from reprogan.entry import checkout_root, pin_instruction_set

_SECONDS = 0.12  # a try
TRIES = 5
_PRODUCTS = (1024, 1536, 2048)  # rows, columns and length
_CONVOLUTIONS = ((8, 64, 64), (16, 128, 32), (32, 256, 16))  # images, channels, pixels a side; kernels of 3×3
_COPIED = 1 << 28  # bytes: more than any cache holds


def rows(params: Parameters, isas: tuple[str, ...]) -> list[Row]:
    """A row an instruction set."""
    return [{"isa": isa, **in_a_process("reprogan.bench.ceilings", isa, str(TRIES))} for isa in isas]


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    headings = ("isa", "matrix product, GFLOP/s", "convolution, GFLOP/s", "memory copied, GB/s")
    lines = [
        (row["isa"], f"{row['product'] / 1e9:,.0f}", f"{row['convolution'] / 1e9:,.0f}", f"{row['copy'] / 1e9:.1f}")
        for row in found
    ]
    return table(headings, lines)


def main() -> None:
    """Measure and print a line of JSON: operations a second, bytes copied a second."""
    os.chdir(checkout_root())
    compute = load().compute.model_copy(update={"isa": sys.argv[1]})
    pin_instruction_set(compute)
    print(json.dumps(_measured(compute, int(sys.argv[2]))))


def _measured(compute: Compute, tries: int) -> dict[str, float]:
    import torch

    from reprogan.models.product import product
    from reprogan.training.device import memory_format, set_up_device

    device = set_up_device(compute)
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32

    def numbers(*shape: int) -> Any:
        return torch.randn(shape, device=device).to(dtype)

    def rate(work: Callable[[], object], each: float) -> float:
        def once(count: int) -> float:
            started = time.perf_counter()
            for _ in range(count):
                work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            return (time.perf_counter() - started) / count

        once(2)
        count = max(1, round(_SECONDS / once(1)))
        return each / statistics.median(once(count) for _ in range(tries))

    with torch.no_grad():
        products = []
        for n in _PRODUCTS:
            a, b = numbers(n, n), numbers(n, n)
            products += [rate(partial(library, a, b), 2 * n**3) for library in (product, torch.matmul)]
        convolutions = []
        for count, channels, side in _CONVOLUTIONS:
            layout = memory_format(compute)
            x = numbers(count, channels, side, side).contiguous(memory_format=layout)
            w = numbers(channels, channels, 3, 3).contiguous(memory_format=layout)
            operations = 2 * count * channels**2 * side**2 * 9
            convolutions.append(rate(partial(torch.nn.functional.conv2d, x, w, None, 1, 1), operations))
        source = torch.zeros(_COPIED, dtype=torch.uint8, device=device)
        target = torch.zeros_like(source)
        copied = rate(lambda: target.copy_(source), _COPIED)
    return {"product": max(products), "convolution": max(convolutions), "copy": copied}


if __name__ == "__main__":
    main()
