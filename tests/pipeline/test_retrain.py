"""`reprogan retrain`, as machines call it: several clones, one git remote, one DVC remote, one MLflow server."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reprogan.blocks import read_yaml

pytestmark = pytest.mark.slow
VARIANTS = ("digit_features", "gan", "dcgan", "ring_gan")
RETRAIN = {"metric": None, "count": 100, "checkpoint_minutes": 0.01}
REPROGAN = (sys.executable, "-m", "reprogan.cli")


def retrain(project: Any, *arguments: str, status: int = 0) -> Any:
    """`reprogan retrain --json`: what it says, as an object; or what it did, where it fails."""
    done = project.run(*REPROGAN, "retrain", "--json", *arguments, status=status)
    return done if status else json.loads(done.stdout)


class Machines:
    """Clones of one repository, with what they share: a git remote, a DVC remote, an MLflow server."""

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
        (self.first.root / "profiles/smoke.yaml").write_text("profile: smoke\n")
        # What the tiny pipeline made is in the cache of `project`.
        self.first.run("cp", "-rl", str(project.root / ".dvc/cache"), ".dvc/cache")
        self.first.git("commit", "-qam", "a remote")
        self.first.git("push", "-q", "origin", "HEAD")

    def clone(self, name: str) -> Any:
        """A new machine: nothing but git's files, and what `make setup` would have set up."""
        made = type(self._of)(self.folder / name, dict(self._of.env))
        self._of.run("git", "clone", "-q", str(self.folder / "origin.git"), str(made.root))
        tools = made.root / ".venv/bin"
        tools.mkdir(parents=True)
        for tool, command in (("python", ""), ("dvc", "-m dvc"), ("reprogan", "-m reprogan.cli")):
            (tools / tool).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            (tools / tool).chmod(0o755)
        (made.root / ".venv/.ready").touch()
        return made


@pytest.fixture
def machines(project: Any, tmp_path: Path, mlflow_server: Any) -> Iterator[Machines]:
    yield Machines(project, tmp_path, mlflow_server.address)
    for path in tmp_path.iterdir():
        if (path / "dvc.yaml").is_file():
            type(project)(path).stop_all()


class Workflow:
    """.github/workflows/retrain.yml without GitHub: the scripts of a job's steps, one after the other, in a clone."""

    def __init__(self, folder: Path, **event: str) -> None:
        """`event`: what expressions begin with and stand for, as `inputs__variants`: "gan"; all others are empty."""
        self._folder = folder
        self._known = {key.replace("__", "."): value for key, value in event.items()}
        self._file = read_yaml(Path(__file__).parents[2] / ".github/workflows/retrain.yml")
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin/gh").write_text(f'#!/bin/sh\necho "$@" >>{folder}/gh.log\n')
        (folder / "bin/gh").chmod(0o755)

    def begin(self, project: Any, job: str) -> "subprocess.Popen[bytes]":
        """Start all steps of a job that are scripts."""
        script = "set -e\n"
        for step in self._file["jobs"][job]["steps"]:
            settings = self._file["env"] | step.get("env", {})
            given = " ".join(f"{key}={shlex.quote(self._value(str(value)))}" for key, value in settings.items())
            if "run" in step:
                script += f"(export {given}; bash -e -c {shlex.quote(step['run'])})\n"
        places = {name: str(self._folder / f"{project.root.name}.{name}") for name in ("OUTPUT", "STEP_SUMMARY")}
        environment = project.environment() | {f"GITHUB_{name}": path for name, path in places.items()}
        environment |= {"GITHUB_ACTOR": "tester", "GITHUB_EVENT_NAME": self._known["github.event_name"]}
        environment |= {"GITHUB_REPOSITORY": "owner/project"}
        environment["PATH"] = f"{self._folder / 'bin'}{os.pathsep}{environment['PATH']}"
        with open(self._folder / f"{project.root.name}.log", "a") as log:
            return subprocess.Popen(
                ["bash", "-c", script], cwd=project.root, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def run(self, project: Any, job: str, status: int = 0) -> str:
        """All of a job; what it printed."""
        assert self.begin(project, job).wait(600) == status, self.log(project)
        return self.log(project)

    def log(self, project: Any) -> str:
        return (self._folder / f"{project.root.name}.log").read_text()

    def said(self, project: Any, what: str) -> str:
        """What a job wrote to GITHUB_OUTPUT or GITHUB_STEP_SUMMARY."""
        return (self._folder / f"{project.root.name}.{what}").read_text()

    def _value(self, text: str) -> str:
        def of(match: "re.Match[str]") -> str:
            fitting = [key for key in self._known if match[1].startswith(key)]
            return self._known[max(fitting, key=len)] if fitting else ""

        return re.sub(r"\$\{\{ (.+?) \}\}", of, text)


def outputs(project: Any) -> dict[str, Any]:
    """The outputs of every stage, as the parsed dvc.lock has them."""
    return {name: stage.get("outs") for name, stage in project.lock()["stages"].items()}


def test_machines_that_share_a_retrain(machines: Machines, wait_until: Any) -> None:
    """From one change on one machine to several on several, one of which is killed; none trains what another has."""
    a = machines.first
    told = retrain(a, "--push", "origin")
    assert told["trained"] == [] and told["ran"].keys() == {"check", "export", "report", "publish"}
    assert told["decisions"].keys() == {"gan", "dcgan", "ring_gan"}  # nobody has decided about them yet
    assert told["title"] == "Retrain: no model changed"

    # Another machine changes a parameter: one variant is trained, everything else is fetched.
    b = machines.clone("b")
    told = retrain(b, "--set", "variants.gan.training.images=12800", "--push", "origin")
    assert told["trained"] == ["gan"] and told["title"].startswith("Retrain: gan (")
    assert {name for name in told["ran"] if "@" in name} == {"train@gan", "sample@gan", "evaluate@gan"}
    assert told["decisions"].keys() == {"gan"} and told["decisions"]["gan"] in ("promoted", "held", "refused")
    report = (b.root / "retrain.md").read_text()
    assert "`variants.gan.training.images` 25600 → 12800" in report
    assert "| Fréchet distance |" in report and "Samples of the same latents." in report
    assert (b.root / "retrain/gan-before.png").read_bytes() == (a.root / "samples/gan/grid.png").read_bytes()
    assert b.git("status", "--porcelain") == "" and b.git("log", "--format=%s", "-1").strip() == told["title"]
    changed = b.git("show", "--name-only", "--format=", "HEAD").split()
    assert {*changed} == {"dvc.lock", "params.yaml", "promotions.jsonl", "metrics/gan.json"}

    # The first pulls and has it: nothing runs.
    a.git("pull", "-q", "--ff-only")
    began = time.monotonic()
    told = retrain(a)
    assert time.monotonic() - began < (30 if "PYTEST_XDIST_WORKER" in os.environ else 15)  # beside other tests
    assert (told["ran"], told["restored"], told["title"]) == ({}, [], "Retrain: nothing changed")
    assert "No stage ran." in (a.root / "retrain.md").read_text()
    assert a.digests("models/gan") == b.digests("models/gan") and outputs(a) == outputs(b)

    # Changes of two, by the scripts of the workflow: one job plans, two train at once, one of them is killed.
    a.change(
        **{
            "variants.ring_gan.training.images": 20480,
            "variants.ring_gan.training.seeds": [2],
            "variants.dcgan.training.seeds": [3],
            "variants.dcgan.training.images": 6400,
        }
    )
    a.git("commit", "-qam", "two changed")
    a.git("push", "-q", "origin", "HEAD")
    event = {"github__event_name": "push", "vars__DVC_REMOTE_URL": str(machines.folder / "store")}

    def job(name: str, variant: str = "") -> tuple[Any, Workflow]:
        known = event | {"(github.event_name != 'pull_request'": "true", "matrix__variant": variant}
        known["github.event_name != 'pull_request' && github.ref_name"] = a.env["MLFLOW_TRACKING_URI"]
        return machines.clone(f"{name} {variant}"), Workflow(machines.folder, **known)

    planner, workflow = job("plan")
    workflow.run(planner, "plan")
    plan = dict(line.split("=") for line in workflow.said(planner, "OUTPUT").splitlines())
    assert json.loads(plan["shared"]) == [] and sorted(json.loads(plan["apart"])) == ["dcgan", "ring_gan"]
    (why,) = [line for line in workflow.said(planner, "STEP_SUMMARY").splitlines() if "train@ring_gan: " in line]
    assert "variants.ring_gan.training.seeds [1] → [2]" in why

    jobs = {name: job("train", name) for name in json.loads(plan["apart"])}
    running = {name: workflow.begin(clone, "train") for name, (clone, workflow) in jobs.items()}
    stored = machines.folder / "store/reprogan/checkpoints"
    assert wait_until(lambda: [*stored.glob("dcgan/*/*.ckpt")], 120), jobs["dcgan"][1].log(jobs["dcgan"][0])
    os.killpg(running.pop("dcgan").pid, signal.SIGKILL)
    jobs["dcgan"][0].stop_all()
    for name, process in running.items():
        assert process.wait(300) == 0, jobs[name][1].log(jobs[name][0])
    assert not [*stored.glob("ring_gan/*/*.ckpt")]  # done with

    again, workflow = job("train again", "dcgan")
    said = workflow.run(again, "train")
    at = re.search(r"goes on from a checkpoint of dcgan at ([\d,]+) images", said)
    assert at and f"dcgan: going on from {at[1]} of 6,400 images" in said
    assert not [*stored.glob("dcgan/*/*.ckpt")]

    # One gathers: nothing is trained there, and all is as where one machine did it all.
    gathering, workflow = job("gather")
    said = workflow.run(gathering, "gather")
    assert "stages/train.py" not in said and said.count("is cached - skipping run") >= 6
    summary = workflow.said(gathering, "STEP_SUMMARY")
    assert "# Retrain: dcgan (" in summary and "dcgan before: in the artifact `retrain`" in summary
    assert not (machines.folder / "gh.log").exists()  # no pull request, no comment
    a.repro()
    assert gathering.lock() == a.lock()
    assert gathering.digests("models", "samples", "scores") == a.digests("models", "samples", "scores")
    a.git("fetch", "-q")
    assert a.git("diff", "--stat", "origin/HEAD", "--", "dvc.lock") == ""

    # A pull request of this repository: the remote's models, a store of its own, a comment; no decision, no commit.
    request = machines.clone("pull request")
    head = request.git("rev-parse", "HEAD")
    known = event | {"github__event_name": "pull_request", "(github.event_name != 'pull_request'": "true"}
    known["github.event_name != 'pull_request' && github.ref_name"] = ""
    workflow = Workflow(machines.folder, **known, github__event__pull_request__number="8")
    said = workflow.run(request, "gather")
    assert "stages/train.py" not in said and (request.root / "mlflow.db").is_file()
    assert request.git("rev-parse", "HEAD") == head == request.git("rev-parse", "origin/HEAD")
    assert request.git("status", "--porcelain") == ""  # promotions.jsonl as it was
    assert request.digests("models") == a.digests("models")
    asked, commented = (machines.folder / "gh.log").read_text().splitlines()
    assert asked.startswith("api repos/owner/project/issues/8/comments ")
    assert commented == "pr comment 8 --body-file comment.md"
    (machines.folder / "gh.log").unlink()

    # A pull request of a fork: no remote, no secret, no commit, no comment; a report all the same.
    fork = machines.clone("fork")
    (fork.root / ".dvc/config").write_text("")
    fork.git("commit", "-qam", "no remote")
    fork.run("cp", "-rl", str(a.root / ".dvc/cache"), ".dvc/cache")
    known = event | {"github__event_name": "pull_request", "(github.event_name != 'pull_request'": "false"}
    known["github.event_name != 'pull_request' && github.ref_name"] = ""
    workflow = Workflow(machines.folder, **known, github__event__pull_request__number="7")
    head = fork.git("rev-parse", "HEAD")
    said = workflow.run(fork, "gather")
    assert "one runner does everything, with the profile smoke" in said and "no DVC remote" in said
    assert fork.git("rev-parse", "HEAD") == head and not (machines.folder / "gh.log").exists()
    assert "# Retrain: " in workflow.said(fork, "STEP_SUMMARY")
