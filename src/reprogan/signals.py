"""SIGTERM and SIGINT to a process that waits for others."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_to_stop(stop: Callable[[], None]) -> Iterator[list[int]]:
    """While this is entered, SIGTERM and SIGINT call `stop`, which tells the others to end, and are noted."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        stop()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
