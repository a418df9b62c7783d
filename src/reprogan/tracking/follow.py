"""`python -m reprogan.tracking.follow FOLDER [PID]`: show one training's curves in MLflow while it goes on.

A process of its own beside the training PID (its parent), reading the files that training writes to FOLDER. It
ends by itself, soon after training does, whatever the tracking store does meanwhile; what it could not log,
publishing logs later.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.entry import repository_root
from reprogan.tracking import run as runs
from reprogan.tracking.curves import Point, log_now, log_points, read_history
from reprogan.tracking.store import Tracking, TrackingFailed, connect
from reprogan.training.follower import TRACKING

if TYPE_CHECKING:
    from mlflow.entities import Run

    from reprogan.tracking.machine import Machine

_NICENESS = 10  # training goes first
_HEAD_START_SECONDS = 60.0  # for a shorter training it is not worth the 6 seconds of a core that MLflow takes to start
_POLL_SECONDS = 2.0
_LOOK_SECONDS = 0.1
_LAST_SECONDS = 8.0  # to log the rest once training has ended
_RETRY_SECONDS = 10.0  # after a failure of the store, which may be back


class Training:
    """What can be seen of a training from outside."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self.run = self._read("run.json")
        self.began = (folder / "run.json").stat().st_mtime  # training writes it first of all

    def is_followed_no_more(self) -> bool:
        """True once another training has taken over the folder."""
        return bool(self._read("run.json")["fingerprint"] != self.run["fingerprint"])

    def done(self) -> dict[str, Any] | None:
        """What training said at its end: model_sha256, images_seen, seconds, images_per_second; None before."""
        try:
            return self._read("done.json")
        except FileNotFoundError:
            return None

    def has_ended(self) -> bool:
        """True once training is done or its process is gone: then this process has another parent."""
        return (self.folder / "done.json").is_file() or os.getppid() != self.pid

    def wait(self, seconds: float) -> None:
        """Wait `seconds`, or less if training ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.has_ended():
            time.sleep(_LOOK_SECONDS)

    def _read(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return values


def follow(training: Training, tracking: Tracking, begun: threading.Event) -> None:
    """Log the training's curves as they grow until it ends, and then how it ended."""
    begun.set()
    run = _begin(training, tracking)
    machine = _machine(training)
    seen: set[Point] = set()
    while True:
        ended = training.has_ended()  # looked at first, so that the last rows are read after it
        points = read_history(training.folder / "history.csv")
        if training.is_followed_no_more():
            break
        log_points(tracking.client, run.info.run_id, [point for point in points if point not in seen])
        seen.update(points)
        if ended:
            break
        if machine is not None:
            log_now(tracking.client, run.info.run_id, machine.read(), max((point.step for point in points), default=0))
        training.wait(_POLL_SECONDS)
    _end(training, tracking, run)


def _begin(training: Training, tracking: Tracking) -> "Run":
    """The run of this training: the one that an earlier process of the same training began, or a new one."""
    variant, fingerprint = training.run["variant"], training.run["fingerprint"]
    params = runs.flatten(training.run["params"])
    run = runs.find(tracking, variant, runs.FINGERPRINT, fingerprint, params)
    if run is None:
        about = {runs.FINGERPRINT: fingerprint, runs.KIND: runs.MODEL, **runs.source_tags(variant)}
        run = runs.create(tracking, variant, about, training.pid, training.began)
    elif run.info.status != "RUNNING":
        tracking.client.update_run(run.info.run_id, status="RUNNING")
    tags = {runs.VARIANT: variant, runs.FINGERPRINT: fingerprint, **training.run["tags"]}
    tags |= runs.process_tags(training.pid)
    known = runs.environment_tags(training.run.get("environment", {}))
    tags |= {key: value for key, value in known.items() if key not in run.data.tags}
    runs.add(tracking.client, run, params, tags)
    return run


def _machine(training: Training) -> "Machine | None":
    """A reader of the machine's load; None where the training is gone already."""
    import psutil

    from reprogan.tracking.machine import Machine

    try:
        return Machine(training.pid, training.run["params"].get("compute", {}).get("device", "cpu"))
    except psutil.Error:
        return None


def _end(training: Training, tracking: Tracking, run: "Run") -> None:
    client, run_id = tracking.client, run.info.run_id
    done = training.done()
    if done is None or training.is_followed_no_more():
        runs.end_killed(client, run)
        return
    log_points(client, run_id, runs.speed_points(run, done))
    client.set_tag(run_id, runs.SHA256, done["model_sha256"])
    client.set_terminated(run_id, "FINISHED")


def _leave_in_time(training: Training, begun: threading.Event) -> None:
    """End this process soon after training has ended, even if a call to the store hangs."""
    while not training.has_ended():
        time.sleep(_LOOK_SECONDS)
    if begun.is_set():
        time.sleep(_LAST_SECONDS)
        _warn("the tracking store did not answer in time")
    os._exit(0)


def _follow_to_the_end(training: Training, begun: threading.Event) -> None:
    """Follow as long as training goes on, through outages of the store; the first is said."""
    from filelock import FileLock

    # The follower of a training that was killed a moment ago may still be ending the run that this one takes up.
    lock = FileLock(training.folder / "follow.lock", timeout=2 * _LAST_SECONDS)
    said = False
    while True:
        try:
            with lock, connect(repository_root()) as tracking:
                return follow(training, tracking, begun)
        except TrackingFailed as error:
            begun.clear()
            if not said:
                _warn(error, "it goes on when that answers")
            said = True
        training.wait(_RETRY_SECONDS)
        if training.has_ended():
            return


def _warn(reason: object, then: str = "it ends here") -> None:
    line = f"reprogan: live tracking failed ({reason}); {then}; `reprogan publish` fills in what is missing"
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> None:
    """Follow the training whose files are in `arguments[0]`; failures are one warning line, never an exit status."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for training; this process ends with it
        os.nice(_NICENESS)
        training = Training(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else os.getppid())
        if os.environ.get(TRACKING) != "now":
            training.wait(_HEAD_START_SECONDS)
        if training.has_ended():
            return
        begun = threading.Event()
        threading.Thread(target=_leave_in_time, args=(training, begun), name="leave in time", daemon=True).start()
        _follow_to_the_end(training, begun)
    except Exception as error:  # whatever it is, training must not notice
        _warn(error)


if __name__ == "__main__":
    main(sys.argv[1:])
