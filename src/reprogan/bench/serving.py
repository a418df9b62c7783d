"""Load on a served model: `python -m reprogan.bench.serving`, beside a `reprogan serve VARIANT`.

Several clients ask for one image after another, each from a seed of its own. Printed: requests a second, how long half
and 99 of 100 took, answers that were no 200, and the memory of the server's processes every few seconds.
"""

import argparse
import itertools
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import requests

_LOOKS = 6  # at the server's memory


@dataclass
class Load:
    """What the clients met: seconds of each answer, and how many were no 200."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


def main() -> None:
    """Ask for as long as told, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5001, help="of the server, on this machine")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    server = _server_at(arguments.port)
    if server is None:
        sys.exit(f"port {arguments.port}: no server there; expected one; run `reprogan serve VARIANT`")
    load, seeds, until = Load(), itertools.count(), time.monotonic() + arguments.seconds
    address = f"http://127.0.0.1:{arguments.port}/invocations"
    clients = [
        threading.Thread(target=_ask, args=(address, load, seeds, until), daemon=True) for _ in range(arguments.clients)
    ]
    memory = [_mebibytes(server)]
    for client in clients:
        client.start()
    for _ in range(_LOOKS):
        time.sleep(arguments.seconds / _LOOKS)
        memory.append(_mebibytes(server))
    for client in clients:
        client.join()
    answers = sorted(load.seconds)
    half, most = (1000 * answers[int(share * len(answers))] for share in (0.5, 0.99))
    print("| clients | requests/s | median, ms | 99 %, ms | failed | server's memory, MiB |\n|---|---|---|---|---|---|")
    print(
        f"| {arguments.clients} | {len(answers) / arguments.seconds:.0f} | {half:.0f} | {most:.0f} | {load.failed} | "
        f"{', '.join(f'{value:,.0f}' for value in memory)} |"
    )


def _ask(address: str, load: Load, seeds: "itertools.count[int]", until: float) -> None:
    session = requests.Session()
    while time.monotonic() < until:
        started = time.monotonic()
        asked: dict[str, Any] = {"inputs": [0], "params": {"seed": next(seeds), "count": 1}}
        try:
            failed = session.post(address, json=asked, timeout=60).status_code != 200
        except requests.RequestException:
            failed = True
        load.failed += failed
        load.seconds.append(time.monotonic() - started)


def _server_at(port: int) -> psutil.Process | None:
    """The process of this account that listens on a port."""
    for process in psutil.process_iter():
        try:
            listening = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        except psutil.Error:
            continue
        if any(one.laddr.port == port for one in listening):
            return process
    return None


def _mebibytes(server: psutil.Process) -> float:
    """What it and the processes it started hold in memory."""
    return sum(float(process.memory_info().rss) for process in [server, *server.children(recursive=True)]) / 2**20


if __name__ == "__main__":
    main()
