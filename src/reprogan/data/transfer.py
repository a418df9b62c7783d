"""Show on stderr how far a transfer is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 3.0


@contextmanager
def transfer(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of bytes that have come; `size` is their sum, where known."""
    with _bar(name, size) if sys.stderr.isatty() else _lines(name, size) as show:
        yield show


@contextmanager
def _bar(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with bytes, speed and time left, gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _lines(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """A line every LINE_SECONDS: nothing for what is quicker than that."""
    started = shown = time.monotonic()
    received = 0

    def show(count: int) -> None:
        nonlocal received, shown
        received += count
        now = time.monotonic()
        if now - shown >= LINE_SECONDS:
            shown = now
            of = f" of {size / 1e6:.1f}" if size else ""
            speed = received / 1e6 / (now - started)
            print(f"{name}: {received / 1e6:.1f}{of} MB, {speed:.2f} MB/s", file=sys.stderr, flush=True)

    yield show
