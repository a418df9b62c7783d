"""`reprogan repro -j`: stages side by side, and the lock file that one after the other gives."""

import os
import signal
import subprocess
import sys

import pytest

from reprogan.config import Compute
from reprogan.side_by_side import CORES, Plan, leases

COMMAND = [sys.executable, "-m", "reprogan.cli", "repro"]
COMPUTE = Compute(device="cpu", threads=2, isa="avx2", precision="float32", channels_last=True)


def test_a_stage_is_ready_once_what_it_needs_is_done():
    plan = Plan({"data": [], "train": ["data"], "other": [], "sample": ["train", "data"]})
    assert list(plan.ready(set(), set())) == ["data", "other"]
    assert list(plan.ready({"data", "other"}, {"other"})) == []
    assert list(plan.ready({"data", "other"}, {"data"})) == ["train"]
    assert list(plan.ready({"data", "other", "train"}, {"data", "other", "train"})) == ["sample"]


def test_each_job_has_cores_of_its_own_where_there_are_enough(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 6})
    assert leases(COMPUTE, 2) == [{CORES: "0,1"}, {CORES: "2,3"}]
    shared = leases(COMPUTE, 3)
    assert len(shared) == 3 and all(list(lease) == ["GOMP_SPINCOUNT"] for lease in shared)


def test_each_job_has_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    found = leases(COMPUTE.model_copy(update={"device": "cuda"}), 4)
    assert [lease["CUDA_VISIBLE_DEVICES"] for lease in found] == ["3", "5"]


@pytest.mark.slow
def test_the_lock_file_and_all_outputs_are_those_of_one_after_the_other(project, pipeline):
    lock = project.lock()
    targets = ("evaluate@gan", "evaluate@ring_gan", "evaluate@vae", "evaluate@dcgan")
    done = project.repro("-j", "3", "-f", *targets)
    ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert len(ran) == len(set(ran)) and {f"Running stage '{target}':" for target in targets} <= set(ran)
    assert project.lock() == lock
    assert (project.root / "dvc.lock").read_text() == (pipeline.project.root / "dvc.lock").read_text()
    assert project.digests() == pipeline.digests


@pytest.mark.slow
def test_only_what_changed_runs_and_what_hangs_on_it(project):
    project.change(**{"variants.gan.sampling.seed": 5})
    done = project.repro("-j", "2", "evaluate@gan", "evaluate@dcgan")
    ran = {line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")}
    assert {"sample@gan", "evaluate@gan"} <= ran
    assert not any(stage.startswith("train@") or stage.endswith("@dcgan") for stage in ran)
    assert "Running stage" not in project.dvc("repro", "evaluate@gan", "evaluate@dcgan").stdout


@pytest.mark.slow
def test_a_stage_that_fails_lets_others_end_and_none_begin(project):
    (project.root / "stages/sample.py").write_text("raise SystemExit(3)\n")
    done = project.run(*COMMAND, "-j", "2", "evaluate@gan", "evaluate@dcgan", status=None)
    assert done.returncode not in (0, None)
    assert "Running stage 'evaluate@gan'" not in done.stdout
    assert not project.processes()


@pytest.mark.slow
def test_told_to_stop_it_leaves_nothing_running_and_goes_on(project, pipeline, wait_until):
    project.forget("train@gan", "train@dcgan")
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [*COMMAND, "-j", "2", "train@gan", "train@dcgan"]
    process = subprocess.Popen(command, cwd=project.root, env=project.environment(), start_new_session=True, **options)
    histories = [project.root / f".reprogan/live/{name}/history.csv" for name in ("gan", "dcgan")]
    assert wait_until(lambda: all(file.is_file() and file.read_text().count("\n") > 3 for file in histories), 120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) != 0
    assert wait_until(lambda: not project.processes(), 60)
    project.repro("-j", "2", "train@gan", "train@dcgan")
    assert project.digests("models") == {
        path: digest for path, digest in pipeline.digests.items() if path.startswith("models/")
    }


@pytest.mark.slow
def test_what_does_not_go_with_it_is_one_line(project):
    done = project.run(*COMMAND, "-j", "2", "--dry", status=2)
    assert done.stderr.strip().splitlines() == [
        "reprogan: repro: --dry with -j; expected targets, or -f; run it without -j"
    ]
