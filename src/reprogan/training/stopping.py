"""SIGTERM and SIGINT during training: finish the step, write a checkpoint, exit non-zero."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reprogan.errors import UserError


class Stopped(UserError):
    """Training was asked to stop and left a checkpoint to go on from."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class StopRequest:
    """The signal that asked this process to stop, if one did."""

    number: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """While this is entered, SIGTERM and SIGINT only leave a note; afterwards they act as before."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
