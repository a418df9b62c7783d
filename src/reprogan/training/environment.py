"""What a training was computed with, for whoever asks later; no output holds any of it."""

import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path

import torch

from reprogan.config import Compute
from reprogan.training.device import cpu_name

_DRIVER_SECONDS = 10
_INSTALLED = re.compile(r"(.+)-([^-]+)\.dist-info")


def environment(compute: Compute) -> dict[str, str]:
    """Python, torch and CUDA, the processor and its cores, threads, instruction set; on CUDA also the GPU."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "device": compute.device,
        "cpu": cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads": str(compute.threads),
        "isa": compute.isa,
    }
    if compute.device == "cuda":
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "cudnn": str(torch.backends.cudnn.version()),
            "driver": _driver(),
        }
    return found


def packages() -> dict[str, str]:
    """{package: version} of what is installed, by the names of its folders: reading all metadata takes longer."""
    folders = (name for path in map(Path, sys.path) if path.is_dir() for name in os.listdir(path))
    named = (match for name in folders if (match := _INSTALLED.fullmatch(name)))
    return {match[1].replace("_", "-").lower(): match[2] for match in sorted(named, key=lambda match: match[0])}


def resources_used(compute: Compute) -> dict[str, float]:
    """What this process has taken: seconds of a core, the most memory in MiB and, on CUDA, of the GPU's."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    found = {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_mib": used.ru_maxrss / unit}
    if compute.device == "cuda":
        found["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated() / 1024**2
    return found


def _driver() -> str:
    """The version of NVIDIA's driver as its own tool says it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_DRIVER_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.splitlines()[0].strip() if said.strip() else "unknown"
