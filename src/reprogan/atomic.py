"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, else remove it.

    A reader sees the old file or the new one, whatever happens to this process or the machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            error.filename = str(path)  # of a write that fails, the system names no file
        raise
    _sync_folder(path.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, whole or not at all (text as UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _remove_abandoned(path: Path) -> None:
    """Remove what earlier processes that were killed left of `path`."""
    for temporary in path.parent.glob(f".{path.name}.*.part*"):  # a database has a journal beside it
        pid = temporary.name.removeprefix(f".{path.name}.").partition(".")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            temporary.unlink(missing_ok=True)
        except (ValueError, PermissionError):  # not ours to judge
            continue


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems without folder handles (Windows) need no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
