"""`dvc repro` with stages side by side: python -m reprogan.side_by_side JOBS [-f] [TARGET…]

DVC runs one stage after another. It lets others work while a stage's command runs, though: here a process of its own
reproduces each stage (`dvc --wait-for-lock repro -s`) once those it needs are done, as many at once as there are
leases: each has cores to itself, on CUDA a GPU. In the end DVC looks at everything once more. The lock file becomes the
one that `dvc repro` writes, for each stage's outputs hang on its own dependencies alone.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from reprogan import lockfile
from reprogan.config import Compute, load
from reprogan.entry import exit_status
from reprogan.errors import UserError
from reprogan.signals import told_to_stop
from reprogan.warm import CORES

_GPUS = "CUDA_VISIBLE_DEVICES"
_SHORT_SPIN = "100"  # for threads that share their cores with others: see entry.py
_FORCED = ("-f", "--force")


@dataclass(frozen=True)
class Plan:
    """Stages that may have to run, in DVC's order, and which of them each needs."""

    needs: dict[str, list[str]]

    def ready(self, begun: set[str], done: set[str]) -> Iterator[str]:
        """Those that have not begun and whose needs are met."""
        return (name for name, needed in self.needs.items() if name not in begun and done.issuperset(needed))


def leases(compute: Compute, jobs: int) -> list[dict[str, str]]:
    """What each of `jobs` stages gets for itself, as environment variables; fewer where there are not as many GPUs.

    Where there are too few cores for all to have their own, they share them.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  # only Linux gives them out
    if len(cores) >= jobs * compute.threads:
        parts = [cores[job * compute.threads : (job + 1) * compute.threads] for job in range(jobs)]
        given = [{CORES: ",".join(map(str, part))} for part in parts]
    else:
        given = [{"GOMP_SPINCOUNT": _SHORT_SPIN} for _ in range(jobs)]
    if compute.device == "cuda":
        gpus = _gpus()
        given = [lease | {_GPUS: gpu} for lease, gpu in zip(given, gpus, strict=False)]
    return given


def _gpus() -> list[str]:
    if (named := os.environ.get(_GPUS)) is not None:
        return named.split(",")
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def main(arguments: Sequence[str]) -> int:
    """Run the stages; the exit status. Raises UserError for options that do not go with -j."""
    jobs, options = int(arguments[0]), list(arguments[1:])
    if odd := [option for option in options if option.startswith("-") and option not in _FORCED]:
        raise UserError(f"repro: {odd[0]} with -j; expected targets, or {_FORCED[0]}; run it without -j")
    targets = [option for option in options if not option.startswith("-")]
    force = len(targets) < len(options)
    plan = Plan(_in_a_fork(lambda: _stale(targets, force)))
    lockfile.read_ahead()
    status = _run(plan, leases(load().compute, jobs), ["-f"] if force else [])
    return status or lockfile.main(["repro", *targets])


def _stale(targets: list[str], force: bool) -> dict[str, list[str]]:
    """{each stage that is to run, or hangs on one that is: those of them that it needs}, in DVC's order."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    found: dict[str, list[str]] = {}
    with Repo() as repo, lockfile.parameters_kept(), repo.lock:
        graph = get_active_graph(repo.index.graph)
        for stage in plan_repro(graph, collect_stages(repo, targets or ["dvc.yaml"])):
            needed = [other.addressing for other in graph.successors(stage) if other.addressing in found]
            if force or needed or stage.changed():
                found[stage.addressing] = needed
    return found


def _run(plan: Plan, given: list[dict[str, str]], options: list[str]) -> int:
    """Run what is planned, one stage a lease; the status of the first that failed, after which none begins.

    On SIGTERM and SIGINT those that run are told to stop, and waited for.
    """
    free, begun, done, status = list(given), set[str](), set[str](), 0
    running: dict[int, tuple[str, dict[str, str]]] = {}
    with told_to_stop(partial(_stop, running)) as stop:
        while True:
            for name in list(plan.ready(begun, done)):
                if free and not status and not stop:
                    begun.add(name)
                    lease = free.pop(0)
                    running[_fork(partial(_reproduce, name, lease, options))] = name, lease
            if not running:
                return 128 + stop[0] if stop else status
            pid, found = os.wait()
            name, lease = running.pop(pid)
            free.append(lease)
            done.add(name)
            lockfile.read_ahead()
            if code := os.waitstatus_to_exitcode(found):
                status = status or code


def _reproduce(name: str, lease: dict[str, str], options: list[str]) -> int:
    os.environ.update(lease)
    return lockfile.main(["--wait-for-lock", "repro", "-s", *options, name])


def _fork(work: Callable[[], int]) -> int:
    """The process that does `work` and exits with its status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        status = work()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _in_a_fork(work: Callable[[], Any]) -> Any:
    """What `work` gives, of a process that then is gone: DVC leaves threads, with which nothing can be forked."""
    reading, writing = os.pipe()

    def tell() -> int:
        os.close(reading)
        found = json.dumps(work())
        with os.fdopen(writing, "w") as file:
            file.write(found)
        return 0

    pid = _fork(tell)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise UserError("repro: what is to run could not be found out, as said above; `dvc repro` says more")
    return json.loads(text)


def _stop(processes: Iterable[int]) -> None:
    for pid in list(processes):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: sys.exit(main(sys.argv[1:]))))
