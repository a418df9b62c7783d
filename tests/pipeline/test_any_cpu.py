"""Law 1 across machines: at `isa: avx2` the same bytes on any x86-64 CPU, shown by emulating two others."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

SCRIPT = Path(__file__).parent / "few_steps.py"
REPOSITORY = SCRIPT.parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="avx2 kernels are x86-64's"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="qemu-user emulates Linux programs alone"),
]


# Left out on the second CPU, for time: kernels of convolutions are chosen by the instruction set, which both CPUs have;
# those of matrix products also by who made the CPU.
CONVOLUTIONS_ALONE = ("sagan", "dcgan128", "progan", "face_features", "pix2pix")


def few_steps(folder: Path, *emulator: str, left_out: tuple[str, ...] = ()) -> dict[str, str]:
    """What comes out of a few training steps and a small evaluation in a process of its own."""
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "REPROGAN_TRACKING": "off"}
    for name in ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR"):
        environment.pop(name, None)  # choosing them is the project's work
    command = [*emulator, sys.executable, str(SCRIPT), str(folder), *left_out]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What comes out here. Parallel workers share one: the first makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    kept = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "few_steps.json"
    with FileLock(f"{kept}.lock"):
        if not kept.is_file():
            kept.write_text(json.dumps(few_steps(kept.with_name("few_steps"))))
    return json.loads(kept.read_text())


@pytest.mark.parametrize(("cpu", "left_out"), [("Haswell", ()), ("EPYC", CONVOLUTIONS_ALONE)])
def test_weights_and_scores_are_the_same_bytes_on_another_cpu(require, native, tmp_path, cpu, left_out):
    """A few steps of digit_features, gan and dcgan, their samples and their scores, natively and on `cpu`."""
    emulator = shutil.which("qemu-x86_64")
    require("qemu", "Debian and Ubuntu: apt-get install qemu-user", emulator)
    assert {"models/gan/generator.safetensors", "models/dcgan/generator.safetensors", "metrics/dcgan.json"} <= set(
        native
    )
    expected = {
        file: digest for file, digest in native.items() if not file.startswith(tuple(f"models/{v}/" for v in left_out))
    }
    found = few_steps(tmp_path / "emulated", str(emulator), "-cpu", cpu, left_out=left_out)
    assert found == expected and len(found) > 50
