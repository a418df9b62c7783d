"""What following a training live costs it: the same training unfollowed, into sqlite, and to a server over HTTP."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reprogan.bench.measure import Row, in_a_process, said, spread, table
from reprogan.config import Parameters
from reprogan.errors import UserError

_VARIANT = "dcgan"
_IMAGES = 100_000  # half a minute: what happens once at the beginning shows, too
_PATIENCE = 120  # seconds for a server to answer


def rows(params: Parameters, rounds: int) -> list[Row]:
    """A row a way of tracking, in turn."""
    rates: dict[str, list[float]] = {"none": [], "sqlite": [], "HTTP": []}
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        stores = {"none": None, "sqlite": f"sqlite:///{folder}/bench.db", "HTTP": address}
        for _ in range(rounds):
            for name, store in stores.items():
                environment = {"REPROGAN_TRACKING": "off" if store is None else "now"}
                if store is not None:
                    environment["MLFLOW_TRACKING_URI"] = store
                found = in_a_process(
                    "reprogan.bench.side", "ours", _VARIANT, "avx2", str(_IMAGES), environment=environment
                )
                rates[name].append(found["images_per_second"])
                said(f"tracking {name}: {rates[name][-1]:,.0f} images/s")
    return [
        {"store": name, "rate": statistics.median(found), "ratios": [
            mine / without for mine, without in zip(found, rates["none"], strict=True)
        ]}
        for name, found in rates.items()
    ]  # fmt: skip


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    lines = [
        (row["store"], f"{row['rate']:,.0f}", f"{statistics.median(row['ratios']):.3f} {spread(row['ratios'], '.3f')}")
        for row in found
    ]
    return table((f"`{_VARIANT}` followed into", "images/s", "of the speed without"), lines)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """The address of an MLflow server with a store of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{folder}/server.db"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    with open(os.devnull, "w") as nowhere:
        server = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, server)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise UserError(f"bench: the MLflow server at {address} does not answer; expected one within {_PATIENCE} s")
