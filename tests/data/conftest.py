"""A small data set in MNIST's format, a mirror that misbehaves to order, and the stage in a folder of its own."""

import contextlib
import gzip
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from reprogan.blocks import read_yaml
from reprogan.config import IdxSet
from reprogan.data import download

REPOSITORY = Path(__file__).parents[2]
NAMES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def pack_idx(array: np.ndarray) -> bytes:
    """A gzipped IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=1, mtime=0)


@dataclass
class SmallSet:
    """Arrays by key, and the four files made from them."""

    arrays: dict[str, np.ndarray]
    classes: list[str]

    @property
    def files(self) -> dict[str, bytes]:
        """{file name: content}"""
        return {NAMES[key]: pack_idx(array) for key, array in self.arrays.items()}

    def block(self, mirrors: list[str]) -> dict[str, Any]:
        """The set's block under `digits.sets`."""
        files = {
            key: {"name": name, "sha256": hashlib.sha256(self.files[name]).hexdigest()} for key, name in NAMES.items()
        }
        return {"mirrors": mirrors, "classes": self.classes, "files": files}

    def idx_set(self, mirrors: list[str]) -> IdxSet:
        """The same, typed."""
        return IdxSet.model_validate(self.block(mirrors))

    def write(self, folder: Path) -> Path:
        """Write the four files into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder


@pytest.fixture
def pack() -> Callable[[np.ndarray], bytes]:
    """Pack an array as a gzipped IDX file."""
    return pack_idx


@pytest.fixture
def make_set() -> Callable[..., SmallSet]:
    """Make a small set: 12 training and 6 test images of random bytes, every class there."""

    def make(size: int = 28, classes: tuple[str, ...] = ("zero", "one", "two"), seed: int = 0) -> SmallSet:
        random = np.random.default_rng(seed)
        arrays = {}
        for split, count in (("train", 12), ("test", 6)):
            arrays[f"{split}_images"] = random.integers(0, 256, (count, size, size), dtype=np.uint8)
            arrays[f"{split}_labels"] = ((np.arange(count) + seed) % len(classes)).astype(np.uint8)
        return SmallSet(arrays, list(classes))

    return make


@dataclass
class Mirror:
    """A web server on loopback. `script[name]` says how the next requests for a file go; then all is well."""

    files: dict[str, bytes]
    script: dict[str, list[str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            mirror.requests.append(name)
            script = mirror.script.get(name) or mirror.script.get("*") or []
            manner = script.pop(0) if script else "well"
            body = mirror.files.get(name)
            if body is None or manner.isdigit():
                return self.send_error(int(manner) if manner.isdigit() else 404)
            length, kind = len(body), "application/octet-stream"
            if manner == "page":
                body, kind = b"\xef\xbb\xbf<!doctype html><title>Log in</title>", "text/html; charset=utf-8"
                length = len(body)
            elif manner == "unmarked page":
                body = b"\n <html>moved</html>"
                length = len(body)
            elif manner == "altered":
                body = body[:-5] + bytes([body[-5] ^ 1]) + body[-4:]
            elif manner in ("cut", "half"):
                body = body[: length // 2]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if manner == "drip":  # never silent for long, and never done
                with contextlib.suppress(OSError):
                    for _ in range(200):
                        self.wfile.write(body[:1])
                        time.sleep(0.1)
                return
            self.wfile.write(body)
            if manner == "half":
                self.wfile.flush()
                time.sleep(20)  # daemon threads: nobody waits for this

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mirror]]:
    """Start mirrors; retries follow each other quickly meanwhile."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    servers: list[ThreadingHTTPServer] = []

    def start(files: dict[str, bytes], **script: list[str]) -> Mirror:
        mirror = Mirror(files, {NAMES.get(key, "*"): list(manners) for key, manners in script.items()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(mirror))
        mirror.url = f"http://127.0.0.1:{server.server_port}/some/folder"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return mirror

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def nobody() -> str:
    """A URL at which nothing listens."""
    return "http://127.0.0.1:9/nobody"


@dataclass
class Stage:
    """`stages/prepare_digits.py` in a folder with its own dvc.yaml and params.yaml."""

    root: Path

    @property
    def out(self) -> Path:
        """The container that the stage writes."""
        return self.root / "data/processed/digits.h5"

    def choose(self, source: str, **sets: dict[str, Any]) -> None:
        """Point `digits` at a source, with these sets added."""
        params = read_yaml(REPOSITORY / "params.yaml")
        params["digits"]["source"] = source
        params["digits"]["sets"] |= sets
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def start(self, **options: Any) -> "subprocess.Popen[str]":
        """Start the stage as `dvc repro` does."""
        environment = {key: value for key, value in os.environ.items() if key != "REPROGAN_MNIST_MIRROR"}
        environment |= {"DVC_ROOT": str(self.root), "PYTHONPATH": str(REPOSITORY / "src"), "no_proxy": "*"}
        environment |= options.pop("env", {})
        command = [sys.executable, str(REPOSITORY / "stages/prepare_digits.py")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.root, env=environment, **pipes, **options)

    def run(self, **options: Any) -> tuple[int, str, list[str]]:
        """Run the stage: exit status, stdout, the lines of stderr."""
        process = self.start(**options)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr.splitlines()

    def leftovers(self) -> list[str]:
        """Every file under data/ that is there now."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob("data/**/*") if path.is_file())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """The stage in an empty repository."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "dvc.yaml").write_text("stages: {}\n")
    return Stage(root)


@pytest.fixture
def real_mnist() -> Path:
    """The four original files; skips where they are not."""
    folder = REPOSITORY.parent / "shared/data/mnist"
    if not all((folder / name).is_file() for name in NAMES.values()):
        pytest.skip("the original MNIST files are not in ../shared/data/mnist")
    return folder
