"""What a person sees of a running training: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

_LINE_SECONDS = 5.0

Show = Callable[[int, str], None]


class Progress:
    """Shows images seen, images/s, losses and time left on stderr. A context manager."""

    def __init__(self, name: str, budget: int, done: int, shown: bool = True) -> None:
        self._name = name
        self._budget = budget
        self._first = done
        self._started = self._last_line = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown = shown

    def __enter__(self) -> "Progress":
        if self._first and self._shown:
            print(f"{self._name}: going on from {self._first:,} of {self._budget:,} images", file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._shown:
            print(file=sys.stderr)

    def show(self, images_seen: int, losses: dict[str, float]) -> None:
        """Report the state after `images_seen` images; quiet if the last report was moments ago."""
        now = time.monotonic()
        if not self._shown:
            return
        if not self._terminal and now - self._last_line < _LINE_SECONDS and images_seen < self._budget:
            return
        self._last_line = now
        rate = self.rate(images_seen)
        left = (self._budget - images_seen) / rate if rate else 0.0
        text = (
            f"{self._name}: {images_seen:,}/{self._budget:,} images, {rate:,.0f} images/s, "
            + ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            + f", {left:.0f} s left"
        )
        if self._terminal:
            print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def seconds(self) -> float:
        """Seconds since this process began to train."""
        return time.monotonic() - self._started

    def rate(self, images_seen: int) -> float:
        """Images a second of this process."""
        return (images_seen - self._first) / max(self.seconds(), 1e-9)
