"""How a stage or a command starts and how it fails: repository root, instruction set, one-line errors."""

import errno
import gc
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from reprogan.config import Compute, Parameters, load
from reprogan.errors import UserError
from reprogan.parent import stop_with_parent

_CANNOT_WRITE = {
    errno.ENOSPC: "the disk is full; free some space and run it again",
    errno.EDQUOT: "the disk quota is used up; free some space and run it again",
    errno.EFBIG: "the file may not grow any larger (a limit of this account or file system); raise it and run it again",
    errno.EACCES: "no permission; expected a path this account may read and write",
    errno.EPERM: "not permitted; expected a path this account may read and write",
    errno.EROFS: "the file system is read-only; expected one that can be written",
}

GARBAGE = 50_000  # new objects: torch loads 200,000 that all stay, among which looking for garbage takes 0.3 s
SPIN_COUNT = "20000"  # about a millisecond; whoever runs several trainings at once sets GOMP_SPINCOUNT lower
_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def repository_root() -> Path:
    """The folder for what outlives a checkout: scratch and the tracking store.

    It is `$DVC_ROOT`, which names the repository itself also while DVC runs an experiment in a temporary copy, else
    the checkout.
    """
    return Path(root) if (root := os.environ.get("DVC_ROOT")) else checkout_root()


def checkout_root() -> Path:
    """The folder, here or above, that holds the dvc.yaml that is being run. Raises UserError if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise UserError(f"{here}: no dvc.yaml here or above; run this inside a ReproGAN repository")


def pin_instruction_set(compute: Compute) -> None:
    """Fix the thread count and, at `isa: avx2`, the kernels' instruction set: both change a result's bits.

    The libraries read these variables when they are loaded, so this must come before the first `import torch`.
    Raises RuntimeError if it comes too late.
    """
    wanted: dict[str, str | None] = {
        **dict.fromkeys(_AVX2),  # at native none of these may be set, not by a parent process either
        "OMP_NUM_THREADS": str(compute.threads),
        "MKL_NUM_THREADS": str(compute.threads),
        # Else the libraries use fewer threads on a machine with fewer cores, and sum in another order.
        "MKL_DYNAMIC": "FALSE",
        "OMP_DYNAMIC": "FALSE",
    }
    # How long a thread spins before it sleeps. The library's own count takes the cores from threads that work as soon
    # as anything else runs here (on 2 busy cores, 13 times slower); a short one is slower on idle cores.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    if compute.isa == "avx2" and platform.machine() in ("x86_64", "AMD64"):
        wanted |= _AVX2
    for name, value in wanted.items():
        if os.environ.get(name) == value:
            continue
        if "torch" in sys.modules:
            raise RuntimeError(f"torch was imported before pin_instruction_set could set {name} to {value}")
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def run_stage(work: Callable[[Parameters, list[str]], None]) -> None:
    """Run one stage's `work(params, command line arguments)` from the checkout's root and exit.

    Exit status 0; 2 with one line for what the user can mend; 1 with a traceback for a fault of ours.
    """

    def start() -> None:
        os.chdir(checkout_root())
        stop_with_parent()
        gc.set_threshold(GARBAGE)
        params = load()
        pin_instruction_set(params.compute)
        work(params, sys.argv[1:])

    sys.exit(exit_status(start))


def exit_status(work: Callable[[], None]) -> int:
    """Run `work` and turn what goes wrong into one line on stderr and an exit status."""
    try:
        work()
    except UserError as error:
        print(f"reprogan: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        # h5py raises OSError with the number in the text of its message alone.
        number = error.errno or next((n for n in _CANNOT_WRITE if f"errno = {n}," in str(error)), None)
        if number not in _CANNOT_WRITE:
            raise
        where = error.filename or Path.cwd()
        print(f"reprogan: {where}: {_CANNOT_WRITE[number]}", file=sys.stderr)
        return UserError.exit_status
    except KeyboardInterrupt:
        print("reprogan: stopped", file=sys.stderr)
        return 130
    return 0
