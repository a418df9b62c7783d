"""Law 2: killed anywhere, nothing is lost; and nothing goes on after `dvc` is gone.

REPROGAN_KILLS sets the number of kills of `gan` and of `dcgan` (1).
"""

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

KILLS = int(os.environ.get("REPROGAN_KILLS", "1"))
pytestmark = pytest.mark.slow


def training(project, variant: str) -> "subprocess.Popen[bytes]":
    """`dvc repro train@<variant>` as the leader of a process group of its own."""
    command = [sys.executable, "-m", "dvc", "repro", f"train@{variant}"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=project.root, env=project.environment(), start_new_session=True, **options)


def wait_for_rows(project, variant: str, rows: int, wait_until: Callable[..., bool]) -> None:
    """Until the history of a training that runs has that many rows."""
    history = project.root / ".reprogan/live" / variant / "history.csv"
    assert wait_until(lambda: history.is_file() and history.read_text().count("\n") > rows, 120)


def checkpoints(project, variant: str) -> list[Path]:
    return sorted((project.root / ".reprogan/checkpoints" / variant).rglob("*.ckpt"))


def assert_caught(project, process: "subprocess.Popen[bytes]", variant: str) -> None:
    """That training is under way: not over, and its results not yet there."""
    assert process.poll() is None
    assert not (project.root / ".reprogan/live" / variant / "done.json").exists()
    assert not (project.root / "models" / variant / "model.json").exists()


def go_on(project, variant: str) -> int:
    """`dvc repro train@<variant>` to its end: the image count that it says it goes on from."""
    done = project.dvc("repro", f"train@{variant}")
    found = re.search(rf"{variant}: going on from ([\d,]+) of", done.stderr)
    assert found, f"began again from the first image:\n{done.stderr}"
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize(
    "variant, kill",
    [*itertools.product(["gan", "dcgan"], range(KILLS)), ("progan", 0), ("stackgan", 0)],
)
def test_sigkill_at_a_random_point(project, pipeline, wait_until, variant, kill):
    choose = random.Random(f"{variant} {kill}")
    settings = project.parameter(f"variants.{variant}.training")
    rows = settings["images"] // settings["log_every"]
    first = -(-settings["checkpoint_every"] // settings["log_every"]) + 1  # a checkpoint lies behind it
    project.forget(f"train@{variant}")

    process = training(project, variant)
    wait_for_rows(project, variant, choose.randint(first, int(0.85 * rows)), wait_until)
    wait_until(lambda: False, choose.uniform(0, 0.05))
    assert_caught(project, process, variant)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert wait_until(lambda: not project.processes(), 10)
    assert checkpoints(project, variant)

    assert 0 < go_on(project, variant) < settings["images"]
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith(f"models/{variant}/")}
    assert project.digests(f"models/{variant}") == expected
    assert checkpoints(project, variant) == []


def test_two_processes_of_torchrun_are_killed_and_go_on_as_two_nodes_that_were_not(project, wait_until):
    """One node of two processes and two nodes of one come to the same bytes, whatever happened on the way."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        nodes = {"REPROGAN_RENDEZVOUS": f"127.0.0.1:{free.getsockname()[1]}"}
    project.change(launch={"launcher": "torchrun", "processes": 2, "nodes": 2})
    project.git("commit", "-qam", "two nodes")
    of_second = project.environment() | nodes | {"REPROGAN_NODE": "1"}
    second = subprocess.Popen(
        [sys.executable, "stages/train.py", "gan"], cwd=project.root, env=of_second,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = project.stage("train", "gan", env=nodes, status=None)
    _, said = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), f"{first.stderr}\n{said}"
    assert first.stderr.count("25,600/25,600 images") == 1 and "images" not in said  # one speaks
    expected = project.digests("models/gan")

    project.change(launch={"launcher": "torchrun", "processes": 2, "nodes": 1})
    project.forget("train@gan")
    shutil.rmtree(project.root / ".reprogan/live")
    process = training(project, "gan")
    wait_for_rows(project, "gan", 20, wait_until)
    assert_caught(project, process, "gan")
    assert len([line for line in project.processes() if "stages/train.py" in line]) >= 3  # who starts, and two
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert wait_until(lambda: not project.processes(), 30), project.processes()
    assert 0 < go_on(project, "gan") < 25600
    assert project.digests("models/gan") == expected


def test_sigterm_to_dvc_leaves_no_orphan_and_a_checkpoint_at_that_point(project, pipeline, wait_until):
    project.forget("train@gan")
    process = training(project, "gan")
    wait_for_rows(project, "gan", 12, wait_until)
    assert_caught(project, process, "gan")
    assert any("stages/train.py" in line for line in project.processes())

    os.kill(process.pid, signal.SIGTERM)  # to dvc alone, not to its group
    process.wait(20)
    assert wait_until(lambda: not project.processes(), 10), project.processes()
    stopped_at = int(checkpoints(project, "gan")[-1].stem)
    assert stopped_at < project.parameter("variants.gan.training.images")

    assert go_on(project, "gan") == stopped_at
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith("models/gan/")}
    assert project.digests("models/gan") == expected


def test_a_second_repro_meanwhile_says_one_clear_thing(project, pipeline, wait_until):
    project.forget("train@gan")
    process = training(project, "gan")
    wait_for_rows(project, "gan", 3, wait_until)
    second = project.dvc("repro", "train@gan", status=None)
    assert second.returncode != 0
    assert re.search(r"ERROR: .*(busy|lock)", second.stderr, re.IGNORECASE | re.DOTALL), second.stderr
    assert "Traceback" not in second.stderr
    assert process.wait(120) == 0  # the first one did not notice
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith("models/gan/")}
    assert project.digests("models/gan") == expected


@pytest.mark.parametrize("stage", ["reference@digits", "evaluate@dcgan"])
def test_a_stage_without_checkpoints_leaves_nothing_half_written(project, pipeline, wait_until, stage):
    """Killed as its own process begins to work; run again it makes the same files."""
    project.forget(stage)
    kind, _, name = stage.partition("@")
    outs = {"reference": [f"data/references/{name}.h5"], "evaluate": [f"scores/{name}", f"metrics/{name}.json"]}[kind]
    for out in outs:
        assert project.digests(out) == {}
    command = [sys.executable, "-m", "dvc", "repro", "-s", stage]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=project.root, env=project.environment(), start_new_session=True, **options)
    assert wait_until(lambda: any(f"stages/{kind}.py" in line for line in project.processes()), 60)
    wait_until(lambda: False, random.Random(stage).uniform(0.5, 2.0))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert wait_until(lambda: not project.processes(), 10)

    project.dvc("repro", "-s", stage)
    expected = {file: digest for file, digest in pipeline.digests.items() if file.startswith(tuple(outs))}
    assert {file: digest for out in outs for file, digest in project.digests(out).items()} == expected
    left = [path.name for out in outs for path in (project.root / out).parent.glob(".*.part")]
    assert left == []
