"""What a training takes of the machine while it goes on, under the names that MLflow's page of system metrics shows."""

import subprocess

import psutil

_MEGABYTE = 1e6
_SECONDS = 5.0  # for NVIDIA's tool to answer


class Machine:
    """Reads the load of the machine and of the training process `pid`; on CUDA also that of the GPUs."""

    def __init__(self, pid: int, device: str) -> None:
        self._process = psutil.Process(pid)
        self._cuda = device == "cuda"
        psutil.cpu_percent()  # each call says what was used since the last
        self._process.cpu_percent()

    def read(self) -> dict[str, float]:
        """Shares in percent (of a process, of one core) and megabytes of 10⁶ bytes; {} once the process is gone."""
        memory = psutil.virtual_memory()
        try:
            with self._process.oneshot():
                of_process = {
                    "system/process_cpu_percentage": self._process.cpu_percent(),
                    "system/process_memory_megabytes": self._process.memory_info().rss / _MEGABYTE,
                }
        except psutil.Error:
            return {}
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system/system_memory_usage_percentage": memory.percent,
            **of_process,
            **(_gpus() if self._cuda else {}),
        }


def _gpus() -> dict[str, float]:
    """Use and memory of each GPU, as NVIDIA's tool says; {} where it does not."""
    query = "index,utilization.gpu,memory.used,memory.total"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
        return parse_gpus(said)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def parse_gpus(said: str) -> dict[str, float]:
    """Lines of index, use in percent, memory used and there in MiB."""
    found = {}
    for line in said.strip().splitlines():
        index, use, used, total = (part.strip() for part in line.split(","))
        found[f"system/gpu_{index}_utilization_percentage"] = float(use)
        found[f"system/gpu_{index}_memory_usage_megabytes"] = float(used) * 2**20 / _MEGABYTE
        found[f"system/gpu_{index}_memory_usage_percentage"] = 100 * float(used) / float(total)
    return found
