"""The command `reprogan`: doctor, profile, summary, and its exit statuses."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from reprogan import doctor
from reprogan.blocks import read_yaml
from reprogan.config import Parameters, load
from reprogan.data import hdf5
from reprogan.errors import UserError

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose one mirror is a folder that is not there."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "profiles", tmp_path / "profiles")
    set_mirrors(tmp_path, [str(tmp_path / "nowhere")])
    return tmp_path


def set_mirrors(root: Path, mirrors: list[str]) -> Parameters:
    """Replace MNIST's mirrors and the files' hashes by those of what `fill` writes."""
    params = read_yaml(root / "params.yaml")
    block = params["digits"]["sets"]["mnist"]
    block["mirrors"] = mirrors
    for file in block["files"].values():
        file["sha256"] = hashlib.sha256(file["name"].encode()).hexdigest()
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return load(root / "params.yaml")


def fill(folder: Path, params: Parameters) -> None:
    """Write four files that have the right hashes."""
    folder.mkdir(parents=True)
    for _, file in params.digits.sets["mnist"].files:
        (folder / file.name).write_bytes(file.name.encode())


def reprogan(root: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in `root`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("REPROGAN_", "DVC_"))}
    environment = kept | {"PYTHONPATH": str(REPOSITORY / "src"), "no_proxy": "*"} | environ
    command = [sys.executable, "-m", "reprogan.cli", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def places(findings: list[doctor.Finding]) -> dict[bool, list[str]]:
    found = [finding for finding in findings if finding.subject == "digits"]
    return {good: [finding.found for finding in found if finding.good is good] for good in (True, False)}


def test_doctor_says_in_one_line_that_nothing_serves_and_both_ways_out(root):
    before = (root / "params.yaml").read_bytes()
    done = reprogan(root, "doctor")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("reprogan: params.yaml: digits.source is mnist")
    assert "REPROGAN_MNIST_MIRROR" in done.stderr and "reprogan profile offline" in done.stderr
    for subject in ("python", "torch", "device", "memory", "disk", "digits"):
        assert f" {subject} " in done.stdout
    assert (root / "params.yaml").read_bytes() == before


def test_doctor_falls_back_offline_in_one_loud_line(root):
    done = reprogan(root, "doctor", "--fall-back-offline")
    assert done.returncode == 0, done.stderr
    loud = [line for line in done.stdout.splitlines() if "***" in line]
    assert len(loud) == 1 and "EMBEDDED" in loud[0] and "REPROGAN_MNIST_MIRROR" in loud[0] and "git diff" in loud[0]
    assert load(root / "params.yaml").digits.source == "embedded"
    again = reprogan(root, "doctor", "--fall-back-offline")
    assert again.returncode == 0 and "***" not in again.stdout and "no download" in again.stdout


def test_doctor_does_not_fall_back_where_the_environment_names_a_mirror(root, tmp_path):
    fill(tmp_path / "mirror", load(root / "params.yaml"))
    done = reprogan(root, "doctor", "--fall-back-offline", REPROGAN_MNIST_MIRROR=str(tmp_path / "mirror"))
    assert done.returncode == 0 and "***" not in done.stdout
    assert load(root / "params.yaml").digits.source == "mnist"


def test_files_fetched_before_are_recognised(root):
    params = load(root / "params.yaml")
    fill(root / "data/raw/mnist", params)
    findings = doctor.examine(params, root, {})
    assert doctor.data_can_be_had(findings)
    assert places(findings)[True] == [f"{root / 'data/raw/mnist'}: holds all four files"]


def test_prepared_data_is_recognised_and_no_mirror_asked(root):
    params = load(root / "params.yaml")
    arrays = hdf5.Arrays(np.zeros((5, 1, 4, 4), np.uint8), np.zeros(5, np.int64))
    path = root / "data/processed/digits.h5"
    hdf5.write(path, name="mnist", classes=("0",), sources={}, train=arrays, test=arrays)
    assert places(doctor.examine(params, root, {})) == {
        True: ["mnist is prepared: data/processed/digits.h5"],
        False: [],
    }
    path.write_bytes(path.read_bytes()[:100])  # damaged: not prepared
    assert not doctor.data_can_be_had(doctor.examine(params, root, {}))


def test_servers_that_never_answer_cost_five_seconds_in_all(root):
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        urls = [f"http://127.0.0.1:{server.getsockname()[1]}" for server in (first, second)]
        params = set_mirrors(root, urls)
        started = time.monotonic()
        findings = doctor.examine(params, root, {})
        assert time.monotonic() - started < 7
    assert not doctor.data_can_be_had(findings)
    assert sum("no answer within 5 s" in found for found in places(findings)[False]) == 2
    assert "\n" not in str(doctor.nothing_serves(params))


def test_profile(root):
    done = reprogan(root, "profile", "smoke")
    assert done.returncode == 0 and "compute.threads: 2 -> 1" in done.stdout
    assert load(root / "params.yaml").profile == "smoke"
    done = reprogan(root, "profile", "smoek")
    assert done.returncode == 2 and done.stdout == ""
    known = ", ".join(sorted(path.stem for path in (root / "profiles").glob("*.yaml")))
    assert done.stderr == f"reprogan: profiles/smoek.yaml: no such profile; expected one of {known}\n"


def test_outside_a_repository_it_says_so(tmp_path):
    done = reprogan(tmp_path, "summary")
    assert done.returncode == 2
    assert done.stderr == f"reprogan: {tmp_path}: no dvc.yaml here or above; run this inside a ReproGAN repository\n"


def test_a_mistake_in_params_is_one_line_for_every_command(root):
    (root / "params.yaml").write_text("profile: [\n")
    for command in ("doctor", "summary", "publish", "ui", "bench"):
        done = reprogan(root, command)
        assert done.returncode == 2
        assert done.stderr.startswith("reprogan: params.yaml line 2: not YAML") and done.stderr.count("\n") == 1


def test_summary_before_anything_ran(root):
    done = reprogan(root, "summary")
    assert done.returncode == 0 and done.stdout.count("not trained") == len(load(root / "params.yaml").variants)


def test_summary_of_the_finished_pipeline(pipeline):
    done = pipeline.project.run(sys.executable, "-m", "reprogan.cli", "summary")
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    rows.pop("", None)  # a line that goes on with the row above it
    assert set(rows) == set(load(pipeline.project.root / "params.yaml").variants)
    assert "Fréchet" in rows["gan"] and "floor" in rows["gan"] and "25,600" in rows["gan"]
    assert "accuracy" in rows["cnn_classifier"]
    assert "report/index.html" in done.stdout and "make ui" in done.stdout


def test_the_command_line_starts_without_heavy_libraries():
    code = "import sys, reprogan.cli; print([m for m in ('torch', 'mlflow', 'matplotlib', 'dvc') if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "[]\n"


def test_unknown_variants_are_named(root):
    done = reprogan(root, "publish", "gna")
    assert done.returncode == 2
    assert "no variant 'gna'; expected one of" in done.stderr and done.stderr.count("\n") == 1


def test_nothing_serves_is_a_user_error(root):
    assert isinstance(doctor.nothing_serves(load(root / "params.yaml")), UserError)
