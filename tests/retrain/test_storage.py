"""DVC's remote when it cannot be reached, may not be written or is full: one clear line, and nothing half there."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reprogan.errors import UserError
from reprogan.retrain.storage import Storage


@pytest.fixture
def forbidding() -> Iterator[str]:
    """The address of a server to which no credentials are good."""

    class Forbid(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403, "the token has expired")

        def do_POST(self) -> None:
            if "Content-Length" in self.headers:
                self.rfile.read(int(self.headers["Content-Length"]))
            else:  # in chunks, each after its size
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            self.do_GET()

        do_HEAD, do_PUT = do_GET, do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Forbid)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/store"
    server.shutdown()


def test_what_one_machine_stores_another_fetches(repository: Path, content: bytes) -> None:
    storage = Storage(repository)
    assert storage.name == "store" and str(repository.parent / "store") in str(storage)
    storage.expect_writable()
    assert storage.push() == 1 and storage.push() == 0
    assert not [*(repository.parent / "store/reprogan/probes").iterdir()]
    (repository / "data").unlink()
    (repository / ".dvc/cache").rename(repository / "elsewhere")
    storage.fetch()
    assert (repository / "data").read_bytes() == content


def test_what_a_killed_stage_left_half_written_makes_way(repository: Path, content: bytes) -> None:
    storage = Storage(repository)
    storage.push()
    (repository / "data").write_bytes(b"half of it")
    storage.fetch()
    assert (repository / "data").read_bytes() == content
    (repository / "data").write_bytes(b"half of it")
    storage.checkout()
    assert (repository / "data").read_bytes() == content


def test_what_is_not_stored_stays_missing(repository: Path) -> None:
    (repository / "data").unlink()
    (repository / ".dvc/cache").rename(repository / "elsewhere")
    Storage(repository).fetch()
    assert not (repository / "data").exists()


def test_credentials_that_have_expired(repository: Path, forbidding: str, point_at, content: bytes) -> None:
    point_at(repository, forbidding)
    storage = Storage(repository)
    with pytest.raises(UserError, match=r"^writing to the DVC remote store \(http.*403.*credentials that are valid"):
        storage.expect_writable()
    with pytest.raises(UserError, match=r"^storing in the DVC remote store .*403.*run it again$"):
        storage.push()
    assert (repository / "data").read_bytes() == content


def test_a_remote_that_may_not_be_written(repository: Path, obey_permissions) -> None:
    store = repository.parent / "store"
    store.mkdir(mode=0o500)
    script = "from pathlib import Path; from reprogan.retrain.storage import Storage; Storage(Path()).expect_writable()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, preexec_fn=obey_permissions, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )  # fmt: skip
    said = done.stderr.splitlines()[-1].removeprefix("reprogan.errors.UserError: ")
    assert said.startswith("writing to the DVC remote store") and "Permission denied" in said, said
    assert [*store.iterdir()] == []


def test_a_disk_that_is_full(repository: Path, content: bytes) -> None:
    """A limit on the size of files stands for it: the same refusal in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(UserError, match=r"^storing in the DVC remote store .*(too large|failed to)"):
            Storage(repository).push()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert not (repository.parent / "store/files/md5" / name[:2] / name[2:]).exists()  # whole or not at all
    assert Storage(repository).push() == 1


def test_no_remote(repository: Path) -> None:
    (repository / ".dvc/config").write_text("[core]\n    no_scm = True\n")
    assert Storage(repository).name is None
