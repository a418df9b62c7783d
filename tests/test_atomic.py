"""Files that are there whole or not at all, and nothing left of who was killed while writing them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprogan.atomic import atomic_path, write_atomically


def ended() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_writers_left_goes_with_the_next_write(tmp_path: Path) -> None:
    """Also what a database keeps beside itself; of one that still writes, nothing."""
    gone, living = ended(), os.getppid()
    for name in (f".mlflow.db.{gone}.part", f".mlflow.db.{gone}.part-journal", f".mlflow.db.{living}.part"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".other.{gone}.part").write_text("half")
    write_atomically(tmp_path / "mlflow.db", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {
        "mlflow.db", f".mlflow.db.{living}.part", f".other.{gone}.part",
    }  # fmt: skip


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
