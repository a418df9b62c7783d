"""Starting a training in several processes by torchrun: one node's here, other nodes' by the same command there."""

import inspect
import os
import sys

from reprogan.config import PARAMS_FILE, Launch
from reprogan.errors import UserError
from reprogan.training.ranks import STARTED_BY_TORCHRUN

RENDEZVOUS = "REPROGAN_RENDEZVOUS"  # HOST:PORT of the first node, where there are several
NODE = "REPROGAN_NODE"  # which one this is, from 0; the first has DVC and writes the files

_LAST_SECONDS = 3600  # for reaching a log interval and writing a checkpoint, after SIGTERM
_RENDEZVOUS_SECONDS = 86400  # nodes wait for each other, as the first has other stages between its trainings


def is_to_be_launched(launch: Launch) -> bool:
    """Whether this process is to start others for the training. Raises UserError if torchrun started it unasked."""
    if STARTED_BY_TORCHRUN not in os.environ:
        return launch.launcher == "torchrun"
    if (found := int(os.environ["WORLD_SIZE"])) != launch.processes:
        raise UserError(
            f"{PARAMS_FILE}: launch.processes is {launch.processes}; torchrun started {found}; expected as many"
        )
    return False


def start(launch: Launch) -> None:
    """Run this very command in `launch.processes` processes, this node's share of them here, and wait for them.

    Raises SystemExit with the exit status of the one that failed first, UserError where other nodes cannot be found.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig
    from torch.distributed.run import parse_args, run

    where = _where(launch)
    os.environ["REPROGAN_REPLAY"] = "off"  # what processes say to each other is no kernel that could be replayed
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    options = [*where, "--max-restarts=0"]
    if "shutdown_timeout" in inspect.signature(LaunchConfig).parameters:  # of torch 2.12 and later
        options.append(f"--shutdown-timeout={_LAST_SECONDS}")
    try:
        run(parse_args([*options, *sys.argv]))
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        sys.exit(first.exitcode if first.exitcode > 0 else 128 - first.exitcode)
    except SignalException as stop:
        sys.exit(128 + stop.sigval)


def _where(launch: Launch) -> list[str]:
    share = f"--nproc-per-node={launch.processes // launch.nodes}"
    if launch.nodes == 1:
        return ["--standalone", "--local-addr=127.0.0.1", share]
    host, colon, port = os.environ.get(RENDEZVOUS, "").rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise UserError(
            f"{PARAMS_FILE}: launch.nodes is {launch.nodes}; {RENDEZVOUS} is {os.environ.get(RENDEZVOUS)!r}; expected "
            "HOST:PORT of the first node, on each of them"
        )
    node = os.environ.get(NODE, "0")
    if not node.isdecimal() or int(node) >= launch.nodes:
        raise UserError(f"{NODE} is {node!r}; expected a number from 0 to {launch.nodes - 1}, another on each node")
    at = [f"--master-addr={host}", f"--master-port={port}", f"--rdzv-conf=timeout={_RENDEZVOUS_SECONDS}"]
    return [f"--nnodes={launch.nodes}", f"--node-rank={node}", *at, share]
