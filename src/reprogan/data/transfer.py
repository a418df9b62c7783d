"""Show on stderr how far a transfer or a preparation is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LINE_SECONDS = 3.0

Advance = Callable[[int], None]


@contextmanager
def transfer(name: str, size: int | None) -> Iterator[Advance]:
    """Yield a function to call with the number of bytes that have come; `size` is their sum, where known."""

    def line(received: int, seconds: float) -> str:
        of = f" of {size / 1e6:.1f}" if size else ""
        return f"{received / 1e6:.1f}{of} MB, {received / 1e6 / seconds:.2f} MB/s"

    if sys.stderr.isatty():
        from rich.progress import DownloadColumn, TransferSpeedColumn

        with _bar(name, size, DownloadColumn(), TransferSpeedColumn()) as advance:
            yield advance
    else:
        yield _lines(name, line)


@contextmanager
def counting(name: str, count: int) -> Iterator[Advance]:
    """Yield a function to call with the number of images that are done; `count` of them are to come."""

    def line(done: int, seconds: float) -> str:
        rate = done / seconds
        return f"{done:,} of {count:,} images, {rate:,.0f} images/s, {(count - done) / rate:.0f} s left"

    if sys.stderr.isatty():
        from rich.progress import MofNCompleteColumn, ProgressColumn, Task
        from rich.text import Text

        class Speed(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f} images/s" if task.speed else "")

        with _bar(name, count, MofNCompleteColumn(), Speed()) as advance:
            yield advance
    else:
        yield _lines(name, line)


@contextmanager
def _bar(name: str, total: int | None, *columns: Any) -> Iterator[Advance]:
    """A bar with `columns` and time left, gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda count: progress.advance(task, count)


def _lines(name: str, line: Callable[[int, float], str]) -> Advance:
    """Print `line(done, seconds)` every LINE_SECONDS: nothing for what is quicker than that."""
    started = shown = time.monotonic()
    done = 0

    def show(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown >= LINE_SECONDS:
            shown = now
            print(f"{name}: {line(done, now - started)}", file=sys.stderr, flush=True)

    return show
