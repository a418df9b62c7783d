"""Law 1 across machines: at `isa: avx2` the same bytes on any x86-64 CPU, shown by emulating another."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "few_steps.py"
REPOSITORY = SCRIPT.parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="avx2 kernels are x86-64's"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="qemu-user emulates Linux programs alone"),
]


def another_cpu() -> str:
    """A CPU of another maker than this one, and without AVX-512: libraries choose their kernels by both."""
    return "Haswell" if "AuthenticAMD" in Path("/proc/cpuinfo").read_text() else "EPYC"


def few_steps(folder: Path, *emulator: str) -> dict[str, str]:
    """What comes out of a few training steps and a small evaluation in a process of its own."""
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "REPROGAN_TRACKING": "off"}
    for name in ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR"):
        environment.pop(name, None)  # choosing them is the project's work
    command = [*emulator, sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_weights_and_scores_are_the_same_bytes_on_another_cpu(require, tmp_path):
    """A few steps of every kind of training, samples and scores, natively and on a CPU that is emulated."""
    emulator = shutil.which("qemu-x86_64")
    require("qemu", "Debian and Ubuntu: apt-get install qemu-user", emulator)
    native = few_steps(tmp_path / "native")
    assert {"models/gan/generator.safetensors", "models/stackgan/model.json", "metrics/dcgan.json"} <= set(native)
    assert few_steps(tmp_path / "emulated", str(emulator), "-cpu", another_cpu()) == native and len(native) > 50
