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
_IMAGES = 100_000  # some twenty seconds
_LONGER = 4  # times as many, once: what the follower does all along, apart from what it does once
_PATIENCE = 120  # seconds for a server to answer
_HEAD_START = 1.0  # minutes of a training before it is followed, as tracking/follow.py has it


def rows(params: Parameters, rounds: int) -> list[Row]:
    """A row a way of tracking: speeds in turn, and the time of a core that the follower takes.

    The speeds differ by more than that from run to run, so that the cost is told by the second.
    """
    rates: dict[str, list[float]] = {"none": [], "sqlite": [], "HTTP": []}
    short: dict[str, list[Row]] = {name: [] for name in rates}
    costs: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        stores = {"none": None, "sqlite": f"sqlite:///{folder}/bench.db", "HTTP": address}
        for _ in range(rounds):
            for name, store in stores.items():
                short[name].append(_trained(store, _IMAGES))
                rates[name].append(short[name][-1]["images_per_second"])
                said(f"tracking {name}: {rates[name][-1]:,.0f} images/s")
        for name, store in stores.items():
            if store is not None:
                costs[name] = _cost(short[name], _trained(store, _LONGER * _IMAGES))
    return [
        {"store": name, "rate": statistics.median(found), **costs.get(name, {}), "ratios": [
            mine / without for mine, without in zip(found, rates["none"], strict=True)
        ]}
        for name, found in rates.items()
    ]  # fmt: skip


def markdown(found: list[Row]) -> str:
    """The rows as a table."""
    headings = [f"`{_VARIANT}` followed into", "images/s", "of the speed without", "seconds of a core to begin"]
    headings += ["seconds of a core a minute", *(f"of the cores in {minutes} minutes" for minutes in (10, 60))]
    lines = [
        (row["store"], f"{row['rate']:,.0f}", f"{statistics.median(row['ratios']):.3f} {spread(row['ratios'], '.3f')}")
        + (_told(row) if "once" in row else ("",) * 4)
        for row in found
    ]
    return table(headings, lines)


def _trained(store: str | None, images: int) -> Row:
    environment = {"REPROGAN_TRACKING": "off" if store is None else "now"}
    if store is not None:
        environment["MLFLOW_TRACKING_URI"] = store
    return in_a_process("reprogan.bench.side", "ours", _VARIANT, "avx2", str(images), environment=environment)


def _cost(short: list[Row], longer: Row) -> Row:
    """Seconds of a core that the follower takes once, and for each minute of a training."""
    seconds, taken = (statistics.median(row[key] for row in short) for key in ("seconds", "following"))
    a_second = (longer["following"] - taken) / (longer["seconds"] - seconds)
    return {"once": taken - a_second * seconds, "a_minute": 60 * a_second, "cores": len(os.sched_getaffinity(0))}


def _told(row: Row) -> tuple[str, ...]:
    shares = (
        (row["once"] + (minutes - _HEAD_START) * row["a_minute"]) / (60 * minutes * row["cores"])
        for minutes in (10, 60)
    )
    return f"{row['once']:.1f}", f"{row['a_minute']:.2f}", *(f"{share:.2%}" for share in shares)


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
