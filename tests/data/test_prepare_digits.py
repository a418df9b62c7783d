"""The stage as DVC runs it: exit status, one line for each mistake, and nothing that looks finished but is not."""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reprogan.data import hdf5

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def one_line(lines: list[str]) -> str:
    """The last line of stderr, if it is the only one of the kind and there is no traceback."""
    assert sum(line.startswith("reprogan: ") for line in lines) == 1, lines
    assert lines[-1].startswith("reprogan: ") and not any("Traceback" in line for line in lines), lines
    return lines[-1]


def test_prepares(stage, make_set, tmp_path):
    small = make_set()
    stage.choose("small", small=small.block([str(small.write(tmp_path / "mirror"))]))
    status, stdout, _ = stage.run()
    assert status == 0
    assert stdout == "data/processed/digits.h5: small, 12 train and 6 test images of 28×28, 3 classes\n"
    first = stage.out.read_bytes()
    assert stage.run()[0] == 0 and stage.out.read_bytes() == first


def test_a_relative_mirror_starts_from_the_repository(stage, make_set, nobody):
    small = make_set()
    small.write(stage.root / "mine")
    stage.choose("small", small=small.block([nobody]))
    assert stage.run(env={"REPROGAN_MNIST_MIRROR": "mine"})[0] == 0


def test_nothing_serves(stage, make_set, nobody):
    stage.choose("small", small=make_set().block([nobody]))
    status, stdout, lines = stage.run()
    assert (status, stdout) == (2, "")
    assert "REPROGAN_MNIST_MIRROR" in one_line(lines) and "`reprogan profile offline`" in one_line(lines)
    assert stage.leftovers() == []


def test_killed_in_the_middle_of_a_download(stage, make_set, serve):
    small = make_set()
    mirror = serve(small.files, train_labels=["half"])
    stage.choose("small", small=small.block([mirror.url]))
    process = stage.start()
    deadline = time.monotonic() + 60
    while not any("train-labels" in path for path in stage.leftovers()):
        assert process.poll() is None and time.monotonic() < deadline, "the download never began"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # The first file is there and whole; of the second nothing under its own name, of the container nothing at all.
    finished = [path for path in stage.leftovers() if not Path(path).name.startswith(".")]
    assert finished == ["data/raw/small/train-images-idx3-ubyte.gz"]
    assert stage.run()[0] == 0
    assert hdf5.describe(stage.out).counts == {"train": 12, "test": 6}
    assert mirror.requests.count("train-images-idx3-ubyte.gz") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
@pytest.mark.parametrize(
    ("limit", "refused"), [(4_000, "data/raw/small/train-images-idx3-ubyte.gz"), (12_000, "data/processed/digits.h5")]
)
def test_the_disk_refuses(stage, make_set, tmp_path, limit, refused):
    """The kernel stops the file from growing, in the download and in the container."""

    def limit_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    small = make_set()
    folder = small.write(tmp_path / "mirror")
    assert 4_000 < len(small.files["train-images-idx3-ubyte.gz"]) < 12_000
    stage.choose("small", small=small.block([str(folder)]))
    status, stdout, lines = stage.run(preexec_fn=limit_files)
    assert (status, stdout) == (2, "")
    assert one_line(lines).startswith(f"reprogan: {refused}: the file may not grow any larger")
    assert refused not in stage.leftovers()
    assert not any(Path(path).name.startswith(".") for path in stage.leftovers())


def obey_permissions() -> None:
    """Take from root what lets it write everywhere (run in the child, before exec)."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture
def as_a_user() -> Callable[[], None] | None:
    """A preexec_fn under which this account obeys permissions; None where it does anyway."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        pytest.skip("root obeys no permissions here, and its privileges can be taken on Linux alone")
    return obey_permissions


@pytest.mark.parametrize("locked", ["data/raw/small", "data/processed"])
def test_no_permission_to_write(stage, make_set, tmp_path, as_a_user, locked):
    small = make_set()
    stage.choose("small", small=small.block([str(small.write(tmp_path / "mirror"))]))
    folder = stage.root / locked
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    try:
        status, stdout, lines = stage.run(preexec_fn=as_a_user)
    finally:
        folder.chmod(0o755)
    assert (status, stdout) == (2, "")
    assert f"{locked}/" in one_line(lines) and "no permission" in one_line(lines)
    assert list(folder.iterdir()) == []


def test_an_unreadable_mirror_is_skipped(stage, make_set, tmp_path, as_a_user):
    small = make_set()
    locked, good = small.write(tmp_path / "locked"), small.write(tmp_path / "good")
    locked.chmod(0)
    stage.choose("small", small=small.block([str(locked), str(good)]))
    try:
        status, _, lines = stage.run(preexec_fn=as_a_user)
    finally:
        locked.chmod(0o755)
    assert status == 0 and any("Permission denied" in line for line in lines)
