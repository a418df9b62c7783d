"""`reprogan repro`: stages in forks of one process that has loaded torch, and nothing else about them is different."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's process handles"),
]
COMMAND = [sys.executable, "-m", "reprogan.cli", "repro"]


def start(project, *arguments: str) -> "subprocess.Popen[str]":
    """`reprogan repro` as the leader of a process group of its own."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=project.root, env=project.environment(), start_new_session=True, **options
    )


def in_the_middle(project, wait_until) -> int:
    """Once `gan` trains: the process that DVC started for it."""
    history = project.root / ".reprogan/live/gan/history.csv"
    assert wait_until(lambda: history.is_file() and history.read_text().count("\n") > 8, 120)
    running = project.processes()
    (stage,) = [line for line in running if line.split()[2:3] == ["stages/train.py"]]
    assert sum(line.split()[2:4] == ["-m", "reprogan.cli"] for line in running) == 2  # it, and its fork that trains
    return int(stage.split()[0])


def test_without_it_stages_give_the_same_bytes(project, pipeline):
    """The pipeline was made by `reprogan repro`; here each stage loads torch itself, as do trainings in test_kills."""
    lock = project.lock()
    done = project.dvc("repro", "-f", "-s", "sample@ring_gan", "reference@digits", "evaluate@gan")
    assert done.stdout.count("Running stage") == 3
    assert project.digests() == pipeline.digests
    assert project.lock() == lock


def test_it_takes_what_dvc_repro_takes(project):
    done = project.run(*COMMAND, "--dry", "-f", "-s", "train@gan")
    assert "python stages/train.py gan" in done.stdout
    assert project.run(*COMMAND, "train@nothing", status=255).stderr.startswith("ERROR: ")


def test_a_stage_that_fails_fails_as_it_would(project):
    project.change(**{"variants.gan.objective.loss": "nonsense"})
    cold, warm = project.dvc("repro", "check", status=255), project.run(*COMMAND, "check", status=255)
    assert warm.stderr == cold.stderr and "found 'nonsense'" in warm.stderr and "exited with 2" in warm.stderr


@pytest.mark.parametrize("whom", ["the stage's process", "reprogan repro", "all"])
def test_killed_it_leaves_nothing_running_and_goes_on(project, pipeline, wait_until, whom):
    project.forget("train@gan")
    running = start(project, "train@gan")
    stage = in_the_middle(project, wait_until)
    if whom == "all":
        os.killpg(running.pid, signal.SIGKILL)
    else:
        os.kill(running.pid if whom == "reprogan repro" else stage, signal.SIGKILL)
    said, _ = running.communicate(timeout=30)
    assert running.returncode != 0
    assert wait_until(lambda: not project.processes(), 20), project.processes()
    if whom != "all":
        codes = (1,) if whom == "reprogan repro" else (-9, 137)  # 137: the shell that DVC starts it by outlived it
        assert any(f"exited with {code}" in said for code in codes), said

    assert "gan: going on from" in project.run(*COMMAND, "train@gan").stderr
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith("models/gan/")}
    assert project.digests("models/gan") == expected


def test_a_killed_process_that_nobody_waited_for_blocks_nothing_and_a_running_one_does(project):
    """In a container without an init the first stays for ever, and DVC alone calls it busy."""
    zombie, running = subprocess.Popen(["true"]), subprocess.Popen(["sleep", "600"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)

        def held_by(pid: int) -> None:
            holder = {"pid": pid, "cmd": "dvc repro check"}
            lock = {"read": {}, "write": {str(project.root / "data/checked/parameters.json"): holder}}
            (project.root / ".dvc/tmp/rwlock").write_text(json.dumps(lock))

        held_by(running.pid)
        said = project.run(*COMMAND, "-f", "-s", "check", status=255).stderr
        assert f"is busy, it is being blocked by:\n  (PID {running.pid}): dvc repro check" in said
        held_by(zombie.pid)
        assert "had been killed" in project.run(*COMMAND, "-f", "-s", "check").stderr
    finally:
        running.kill()
        running.wait()
        zombie.wait()


def test_the_fork_killed_by_the_kernel_is_a_stage_killed(project, wait_until):
    """As where memory runs out: the process that waits for it dies of the same signal, with no traceback."""
    project.forget("train@gan")
    running = start(project, "train@gan")
    in_the_middle(project, wait_until)
    (fork,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[1:]  # after DVC
    os.kill(int(fork), signal.SIGKILL)
    said, _ = running.communicate(timeout=30)
    assert running.returncode != 0 and "Traceback" not in said
    assert any(f"exited with {code}" in said for code in (-9, 137)), said


def test_who_asks_and_goes_stops_nothing(project, wait_until):
    project.forget("train@gan")
    running = start(project, "train@gan")
    in_the_middle(project, wait_until)
    dvc = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0]
    variables = dict(line.split("=", 1) for line in Path(f"/proc/{dvc}/environ").read_text().split("\0") if line)
    for sent in (b"", b"12", b"\x0a" + bytes(7) + b"no request"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(variables["REPROGAN_STAGES"])
            connection.sendall(sent)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said


def test_ctrl_c_stops_all_of_it(project, wait_until):
    project.forget("train@gan")
    running = start(project, "train@gan")
    in_the_middle(project, wait_until)
    os.killpg(running.pid, signal.SIGINT)  # what a terminal does
    said, _ = running.communicate(timeout=60)
    assert running.returncode != 0 and "Traceback" not in said, said
    assert wait_until(lambda: not project.processes(), 20), project.processes()
    assert sorted((project.root / ".reprogan/checkpoints/gan").rglob("*.ckpt"))


def test_a_stage_whose_server_is_gone_runs_by_itself(project, pipeline):
    done = project.stage("check", env={"REPROGAN_STAGES": str(Path(project.root) / "nobody")})
    assert "nobody: No such file or directory; torch is loaded for this stage alone" in done.stderr
    assert project.digests("data/checked") == {
        name: digest for name, digest in pipeline.digests.items() if name.startswith("data/checked")
    }
