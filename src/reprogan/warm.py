"""`dvc repro` with torch loaded once: stages run in forks of a process that has it in memory.

DVC starts a process for each stage, which spends two seconds on loading torch. Under `reprogan repro` that process
hands over what it was started with, and waits; the stage runs in a fork. Nothing has been computed when a fork is made,
and it loads the project's code itself: outputs are those of `dvc repro`, byte for byte. DVC is given a lock file that
it need not parse again after each stage (lockfile.py).
"""

import atexit
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from reprogan.parent import stop_with_parent

STAGES = "REPROGAN_STAGES"  # where DVC's stages find the process that forks for them
CORES = "REPROGAN_CORES"  # those that a stage has to itself: numbers with commas between
_LENGTH = struct.Struct("=Q")
_STATUS = struct.Struct("=i")


@dataclass(frozen=True)
class Stage:
    """What a stage was started with."""

    arguments: list[str]  # the script first
    folder: str
    environment: dict[str, str]

    def run(self) -> None:
        """Become the stage: whatever was loaded of the project is forgotten, so that its code is that of now."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        if cores := self.environment.get(CORES):
            os.sched_setaffinity(0, map(int, cores.split(",")))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("reprogan", "this_checkout")]:
            del sys.modules[name]
        script = self.arguments[0]
        sys.argv = list(self.arguments)
        sys.path.insert(0, str(Path(script).resolve().parent))
        status: object = None
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            status = end.code
        if (status is None or isinstance(status, int)) and "mlflow" not in sys.modules:
            # With torch loaded, taking all objects down one by one takes longer than many a stage; MLflow wants that.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(status or 0))
        sys.exit(status)  # type: ignore[arg-type]


def hand_over() -> None:
    """Under `reprogan repro`: have this stage run by it, and exit as the stage does. Else return at once."""
    place = os.environ.pop(STAGES, None)
    if place is None:
        return
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(place)
        except OSError as error:
            print(f"reprogan: {place}: {error.strerror}; torch is loaded for this stage alone", file=sys.stderr)
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage has it, too, and says so
        stop_with_parent()
        request = json.dumps(asdict(Stage(sys.argv, os.getcwd(), dict(os.environ)))).encode()
        socket.send_fds(connection, [_LENGTH.pack(len(request))], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(_STATUS.size)
    if not answer:
        sys.exit(f"reprogan: {sys.argv[0]}: `reprogan repro`, which ran it, is gone; run it again")
    code = os.waitstatus_to_exitcode(*_STATUS.unpack(answer))
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def repro(arguments: list[str], jobs: int = 1) -> Stage | int:
    """Run `dvc repro` with these arguments: its exit status or, in a fork, the stage that is to be run.

    With several `jobs`, so many stages run side by side. The instruction set has to be pinned before, for torch is
    loaded here.
    """
    how = ["reprogan.lockfile", "repro"] if jobs == 1 else ["reprogan.side_by_side", str(jobs)]
    command = [sys.executable, "-m", *how, *arguments]
    if not hasattr(os, "pidfd_open"):  # not Linux
        return subprocess.call(command)
    with _listening() as (listener, place):
        dvc = subprocess.Popen(command, env=os.environ | {STAGES: place})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # DVC has it, too, and ends
        signal.signal(signal.SIGTERM, lambda *_: dvc.terminate())
        return _serve(listener, dvc)


def _load() -> None:
    """What stages have in common and takes long to load.

    Once the first of them asks: often nothing is to be done, and beside DVC, which looks, it slows that down by as much
    as is saved where two cores share their units.
    """
    import h5py  # noqa: F401
    import PIL.Image  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch  # noqa: F401


@contextmanager
def _listening() -> Iterator[tuple[socket.socket, str]]:
    """A socket of this account's alone, and where it is; a fork leaves it where it is."""
    server = os.getpid()
    # An address has 108 characters at most, which a folder for temporary files may have by itself.
    folder = tempfile.mkdtemp(prefix="reprogan-", dir="/tmp" if len(tempfile.gettempdir()) > 80 else None)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            place = os.path.join(folder, "stages")
            listener.bind(place)
            listener.listen()
            yield listener, place
    finally:
        if os.getpid() == server:
            shutil.rmtree(folder)


def _serve(listener: socket.socket, dvc: "subprocess.Popen[bytes]") -> Stage | int:
    """Fork for each stage that asks, until DVC is done; in a fork, the stage."""
    running: dict[int, tuple[int, socket.socket]] = {}  # {pidfd: pid, the process that waits for it}
    ended = os.pidfd_open(dvc.pid)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == ended:
                    return dvc.wait()
                if key.fileobj is listener:
                    waiting, _address = listener.accept()
                    try:
                        stage, streams = _read(waiting)
                    except (OSError, ValueError, struct.error):  # who asked was killed while it did
                        waiting.close()
                        continue
                    _load()
                    pid = os.fork()
                    if pid == 0:
                        _take(streams)
                        return stage
                    for stream in streams:
                        os.close(stream)
                    handle = os.pidfd_open(pid)
                    running[handle] = pid, waiting
                    selector.register(handle, selectors.EVENT_READ)
                    selector.register(waiting, selectors.EVENT_READ, handle)
                elif key.data in running:  # who waits for it is gone: it is to end, too
                    selector.unregister(key.fileobj)
                    signal.pidfd_send_signal(key.data, signal.SIGTERM)
                elif key.fd in running:
                    selector.unregister(key.fd)
                    pid, waiting = running.pop(key.fd)
                    _, status = os.waitpid(pid, 0)
                    if waiting in selector.get_map():
                        selector.unregister(waiting)
                    os.close(key.fd)
                    with waiting, suppress(BrokenPipeError):
                        waiting.sendall(_STATUS.pack(status))


def _read(waiting: socket.socket) -> tuple[Stage, list[int]]:
    """What a stage was started with, and its standard streams."""
    head, streams, _flags, _address = socket.recv_fds(waiting, _LENGTH.size, 3)
    length = _LENGTH.unpack(head)[0]
    with waiting.makefile("rb") as file:
        return Stage(**json.loads(file.read(length))), list(streams)


def _take(streams: list[int]) -> None:
    """Make these the standard streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
