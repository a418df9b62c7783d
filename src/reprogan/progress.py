"""A bar on the terminal for what takes a while: how much is done, how fast, how long it goes on."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0  # seconds in which nobody misses a bar

Item = TypeVar("Item")


def tracked(
    items: Iterable[Item], total: int, what: str, size: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """The items as they come; on a terminal a bar on stderr shows how much of `total` is done, `what` beside it.

    It comes after PATIENCE, and goes with the last item or with whatever ends the loop before. An item counts for its
    `size` once the next is asked for. Anywhere else than on a terminal nothing is shown.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    bar = _Bar(what, total)
    try:
        for item in items:
            yield item
            bar.advance(size(item))
    finally:
        bar.close()


class _Bar:
    """A bar that shows itself once it is old enough, also while its owner computes."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._shown: Progress | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if not console.is_interactive:  # a terminal that cannot take a line back
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True)
        with self._lock:
            progress.add_task(self._what, total=self._total, completed=self._done)
            progress.start()
            self._shown = progress

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._shown:
                self._shown.update(self._shown.task_ids[0], completed=self._done)

    def close(self) -> None:
        """Take the bar away, or keep it from coming."""
        self._timer.cancel()
        self._timer.join()
        if self._shown:
            self._shown.stop()
