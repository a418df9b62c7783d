"""The bar: after a while and on a terminal alone, and gone at the end whatever happens."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

import pytest

from reprogan import progress
from reprogan.progress import tracked

SOURCE = Path(__file__).parents[1] / "src"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal for stderr; a bar comes after a twentieth of a second."""
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def slowly(items: list[int], terminal: Terminal) -> Iterator[int]:
    """The items; the first is there when a bar is shown."""
    for item in items:
        deadline = time.monotonic() + 20
        while "things" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield item


def gone(terminal: Terminal) -> bool:
    """Whether the cursor is shown again, and the last that was done to the bar's line is that it was deleted."""
    return terminal.getvalue().rstrip().endswith("\x1b[2K") and "\x1b[?25h" in terminal.getvalue()


def test_a_bar_comes_while_the_first_item_is_waited_for_and_goes_at_the_end(terminal):
    with redirect_stderr(terminal):
        assert list(tracked(slowly([3, 4, 5], terminal), 12, "things", size=int)) == [3, 4, 5]
    assert "things" in terminal.getvalue() and "0/12" in terminal.getvalue()
    assert "12/12" in terminal.getvalue() and gone(terminal)


def test_without_a_size_items_are_counted(terminal):
    with redirect_stderr(terminal):
        assert list(tracked(slowly([7, 7], terminal), 2, "things")) == [7, 7]
    assert "2/2" in terminal.getvalue()


def test_what_is_quick_shows_nothing(terminal, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 60.0)
    with redirect_stderr(terminal):
        assert list(tracked(iter(range(1000)), 1000, "things")) == list(range(1000))
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("by", ["an error", "a break"])
def test_the_bar_goes_with_a_loop_that_ends_early(terminal, by):
    def loop() -> None:
        for _ in tracked(slowly([1, 2], terminal), 2, "things"):
            if by == "a break":
                break
            raise ValueError(by)

    with redirect_stderr(terminal), nullcontext() if by == "a break" else pytest.raises(ValueError, match=by):
        loop()
    assert "things" in terminal.getvalue() and gone(terminal)


def test_a_terminal_that_takes_no_line_back_is_left_alone(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal):
        for _ in tracked(range(1), 1, "things"):
            time.sleep(0.5)
    assert terminal.getvalue() == ""


def test_elsewhere_nothing_is_shown_and_rich_is_not_loaded():
    code = (
        "import sys, time; from reprogan import progress; progress.PATIENCE = 0.01\n"
        "for _ in progress.tracked(range(2), 2, 'things'): time.sleep(0.1)\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
