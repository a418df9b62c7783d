"""`reprogan retrain`, as machines call it: several clones, one git remote, one DVC remote, one MLflow server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
VARIANTS = ("digit_features", "gan", "dcgan", "vae", "ring_gan")
RETRAIN = {"metric": None, "count": 100, "checkpoint_minutes": 0.01}
REPROGAN = (sys.executable, "-m", "reprogan.cli")


def retrain(project: Any, *arguments: str, status: int = 0) -> Any:
    """`reprogan retrain --json`: what it says, as an object; or what it did, where it fails."""
    done = project.run(*REPROGAN, "retrain", "--json", *arguments, status=status)
    return done if status else json.loads(done.stdout)


class Machines:
    """Clones of one repository, with what they share."""

    def __init__(self, project: Any, folder: Path, server: str) -> None:
        self.folder = folder
        self._of = project
        project.env["MLFLOW_TRACKING_URI"] = server
        project.run("git", "clone", "-q", "--bare", str(project.root), str(folder / "origin.git"))
        self.first = self.clone("a")
        self.first.dvc("remote", "add", "-d", "store", str(folder / "store"))
        few = {name: project.parameter(f"variants.{name}") for name in VARIANTS}
        digits = {"digits": project.parameter("references.digits")}
        self.first.change(variants=few, references=digits, pairs={}, retrain=RETRAIN)
        # What the tiny pipeline made is in the cache of `project`.
        self.first.run("cp", "-rl", str(project.root / ".dvc/cache"), ".dvc/cache")
        self.first.git("commit", "-qam", "a remote")
        self.first.git("push", "-q", "origin", "HEAD")

    def clone(self, name: str) -> Any:
        """A new machine: nothing but git's files."""
        made = type(self._of)(self.folder / name, dict(self._of.env))
        self._of.run("git", "clone", "-q", str(self.folder / "origin.git"), str(made.root))
        return made


@pytest.fixture
def machines(project: Any, tmp_path: Path, mlflow_server: Any) -> Any:
    found = Machines(project, tmp_path, mlflow_server.address)
    yield found
    for path in tmp_path.iterdir():
        if (path / "dvc.yaml").is_file():
            type(project)(path).stop_all()


def outputs(project: Any) -> dict[str, Any]:
    """The outputs of every stage, as the parsed dvc.lock has them."""
    return {name: stage.get("outs") for name, stage in project.lock()["stages"].items()}


def test_a_change_is_retrained_once_and_reaches_every_machine(machines: Any) -> None:
    a = machines.first
    told = retrain(a, "--push", "origin")
    assert told["trained"] == [] and told["ran"].keys() == {"check", "report", "publish"}
    assert told["title"] == "Retrain: no model changed"

    # Another machine changes a parameter: one variant is trained, everything else is fetched.
    b = machines.clone("b")
    told = retrain(b, "--set", "variants.gan.training.images=12800", "--push", "origin")
    assert told["trained"] == ["gan"] and told["title"].startswith("Retrain: gan (")
    assert {name for name in told["ran"] if "@" in name} == {"train@gan", "sample@gan", "evaluate@gan"}
    assert told["decisions"].keys() == {"gan"} and told["decisions"]["gan"] in ("promoted", "refused")
    report = (b.root / "retrain.md").read_text()
    assert "`variants.gan.training.images` 25600 → 12800" in report
    assert "| Fréchet distance |" in report and "Samples of the same latents." in report
    assert (b.root / "retrain/gan-before.png").read_bytes() == (a.root / "samples/gan/grid.png").read_bytes()
    assert b.git("status", "--porcelain") == "" and b.git("log", "--format=%s", "-1").strip() == told["title"]
    changed = b.git("show", "--name-only", "--format=", "HEAD").split()
    assert {*changed} == {"dvc.lock", "params.yaml", "promotions.jsonl", "metrics/gan.json"}

    # The first pulls and has it, without training.
    a.git("pull", "-q", "--ff-only")
    told = retrain(a)
    assert told["trained"] == [] and a.digests("models/gan") == b.digests("models/gan")
    assert outputs(a) == outputs(b)

    # And once more: nothing runs.
    began = time.monotonic()
    told = retrain(b)
    assert (told["ran"], told["restored"], told["title"]) == ({}, [], "Retrain: nothing changed")
    assert time.monotonic() - began < 15
    assert "No stage ran." in (b.root / "retrain.md").read_text()


def test_several_machines_share_a_retrain_and_one_that_is_killed_is_gone_on_with(
    machines: Any, wait_until: Any
) -> None:
    a = machines.first
    retrain(a, "--push", "origin")
    a.change(
        **{
            "variants.ring_gan.training.images": 20480,
            "variants.vae.training.seeds": [2],
            "variants.dcgan.training.seeds": [3],
            "variants.dcgan.training.images": 6400,
        }
    )
    a.git("commit", "-qam", "three changes")
    a.git("push", "-q", "origin", "HEAD")
    plan = json.loads(a.run(*REPROGAN, "stale", "--json", status=6).stdout)
    assert sorted(plan["apart"]) == ["dcgan", "ring_gan", "vae"] and plan["shared"] == []
    assert plan["changed"]["train@vae"] == ["variants.vae.training.seeds [1] → [2]"]

    def begin(name: str) -> Any:
        clone = machines.clone(f"runner {name}")
        with open(machines.folder / f"{name}.log", "w") as log:
            process = subprocess.Popen(
                [*REPROGAN, "retrain", "--train-only", name], cwd=clone.root, env=clone.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return clone, process

    # Three at once; the one that trains dcgan is killed once it has stored a checkpoint.
    runners = {name: begin(name) for name in plan["apart"]}
    stored = machines.folder / "store/reprogan/checkpoints/dcgan"
    assert wait_until(lambda: [*stored.glob("*/*.ckpt")], 120), (machines.folder / "dcgan.log").read_text()
    clone, process = runners.pop("dcgan")
    os.killpg(process.pid, signal.SIGKILL)
    clone.stop_all()
    for name, (_, other) in runners.items():
        assert other.wait(300) == 0, (machines.folder / f"{name}.log").read_text()
    assert not [*(machines.folder / "store/reprogan/checkpoints").glob("vae/*/*")]  # done with

    second = machines.clone("another runner")
    done = second.run(*REPROGAN, "retrain", "--train-only", "dcgan")
    at = re.search(r"goes on from a checkpoint of dcgan at ([\d,]+) images", done.stderr)
    assert at and f"dcgan: going on from {at[1]} of 6,400 images" in done.stderr
    assert not [*stored.glob("*/*.ckpt")]

    # One gathers: nothing is trained there, and all is as where one machine did it all.
    gathering = machines.clone("gathering")
    told = retrain(gathering, "--commit", "--no-promote")
    assert told["trained"] == [] and {"train@vae", "train@ring_gan", "train@dcgan"} <= {*told["restored"]}
    a.repro()
    assert gathering.lock() == a.lock()
    assert gathering.digests("models", "samples", "scores") == a.digests("models", "samples", "scores")
