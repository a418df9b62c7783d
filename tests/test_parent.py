"""A process that watches its parent ends soon after it, also when a shell stands between them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="without /proc only direct parents are seen"
)

CHILD = """
import os, signal, sys, time
from reprogan.parent import stop_with_parent
stop_with_parent()
print(os.getpid(), flush=True)
time.sleep(120)
"""
# What DVC does: a command line through a shell, waited for. `; true` keeps the shell from becoming the command.
PARENTS = {
    "direct": "import subprocess, sys; subprocess.run([sys.executable, sys.argv[1]])",
    "through a shell": "import subprocess, sys; subprocess.run(f'{sys.executable} {sys.argv[1]}; true', shell=True)",
}


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", PARENTS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_and_not_before(tmp_path, wait_until, how, number):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    parent = subprocess.Popen([sys.executable, "-c", PARENTS[how], str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        time.sleep(1.2)  # two looks of the watcher
        assert alive(child)
        os.kill(parent.pid, number)
        parent.wait(10)
        assert wait_until(lambda: not alive(child), 10)
    finally:
        parent.kill()
        if alive(child):
            os.kill(child, signal.SIGKILL)
