"""Stop with the process that started us: killing `dvc` must leave no orphan that goes on training."""

import os
import signal
import threading
from pathlib import Path

STOP_WITH_PARENT = "REPROGAN_STOP_WITH_PARENT"  # set for a command that is to end with the process that started it
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish"}
_POLL_SECONDS = 0.5


def stop_with_parent() -> None:
    """Watch the parent from a thread and send this process SIGTERM once it is gone.

    DVC runs a stage through a shell that outlives it, so a shell's own parent is watched too. Where there is
    no /proc (macOS) only the direct parent is seen.
    """
    watched = _parents()
    threading.Thread(target=_watch, args=(watched,), name="parent watch", daemon=True).start()


def _watch(watched: list[tuple[int, str]]) -> None:
    direct = os.getppid()
    pause = threading.Event()
    while os.getppid() == direct and all(_started(pid) == started for pid, started in watched):
        pause.wait(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _parents() -> list[tuple[int, str]]:
    """(pid, start time) of the parent and, while that is a shell, of its parent too."""
    found: list[tuple[int, str]] = []
    pid = os.getppid()
    while pid > 1 and (started := _started(pid)):
        found.append((pid, started))
        name, parent = _name_and_parent(pid)
        if name not in _SHELLS:
            break
        pid = parent
    return found


def _stat(pid: int) -> tuple[str, list[str]] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, fields = text.partition("(")[2].rpartition(")")
    return name, fields.split()


def _started(pid: int) -> str:
    """When `pid` started, in clock ticks since boot ("" if it is gone or a zombie): tells a reused pid apart."""
    stat = _stat(pid)
    return stat[1][19] if stat and stat[1][0] != "Z" else ""


def _name_and_parent(pid: int) -> tuple[str, int]:
    stat = _stat(pid)
    return (stat[0], int(stat[1][1])) if stat else ("", 0)
