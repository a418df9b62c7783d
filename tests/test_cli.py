"""The command `reprogan`: doctor, profile, summary, JSON, and its exit statuses."""

import hashlib
import json
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
from click.testing import CliRunner, Result

from reprogan import doctor
from reprogan.bench.seeds import Outcome
from reprogan.blocks import read_yaml
from reprogan.cli import main
from reprogan.config import Parameters, load
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.report.scores import SCORES
from reprogan.summary import KEYS

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose one mirror is a folder that is not there."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for folder in ("profiles", "web"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
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


def test_doctor_says_what_the_page_lacks_and_falls_back(root):
    lock = root / "web/package-lock.json"
    lock.write_text(lock.read_text().replace('"version": "1.6.32"', '"version": "0.0.1"'))
    params = load(root / "params.yaml")
    (found,) = [finding for finding in doctor.examine(params, root, {}) if finding.subject == "page"]
    assert not found.good and "uplot" in found.found and "0.0.1" in found.found
    done = reprogan(root, "doctor", "--fall-back-offline")
    assert done.returncode == 0 and "THE PAGE'S LIBRARIES ARE NOT THERE" in done.stdout
    params = load(root / "params.yaml")
    assert not params.report.bundle
    assert all(finding.good for finding in doctor.examine(params, root, {}) if finding.subject == "page")


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
    for command in ("doctor", "summary", "publish", "ui", "bench", "compare a b"):
        done = reprogan(root, *command.split())
        assert done.returncode == 2
        assert done.stderr.startswith("reprogan: params.yaml line 2: not YAML") and done.stderr.count("\n") == 1


def test_summary_before_anything_ran(root):
    done = reprogan(root, "summary")
    assert done.returncode == 0 and done.stdout.count("not trained") == len(load(root / "params.yaml").variants)


def test_summary_of_the_finished_pipeline(pipeline):
    done = pipeline.project.run(sys.executable, "-m", "reprogan.cli", "summary")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert set(load(pipeline.project.root / "params.yaml").variants) <= set(lines)
    assert "25,600" in lines["gan"] and " ± " in lines["gan"] and "Fréchet distance" in done.stdout
    assert "Accuracy" in done.stdout
    assert "report/index.html" in done.stdout and "make ui" in done.stdout
    found = json.loads(pipeline.project.run(sys.executable, "-m", "reprogan.cli", "summary", "--json").stdout)
    for name, row in found.items():
        assert row["scores"] == json.loads((pipeline.project.root / f"scores/{name}/scores.json").read_text())
    assert found["gan"]["images_seen"] == 25600 and found["gan"]["data"] == "blobs"


def leave(root: Path, name: str, data: str, speed: float, **scores: object) -> None:
    """What the pipeline leaves behind of a trained variant, `speed` images/s fast; scored, if it has scores."""
    files = {
        f"models/{name}/model.json": {"data": data, "images_seen": 12345},
        f".reprogan/live/{name}/done.json": {
            "images_per_second": speed,
            "model_sha256": hashlib.sha256(b"weights").hexdigest(),
        },
    } | ({f"scores/{name}/scores.json": scores} if scores else {})
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text(json.dumps(content))
    (root / f"models/{name}/generator.safetensors").write_bytes(b"weights")


def leave_some(root: Path) -> None:
    """Three GANs of digits, one that was not scored, one of the ring, and a classifier."""
    for name, distance in (("gan", 30.0), ("dcgan", 9.5), ("wgan_gp", 12.0)):
        sets = {"frechet_distance": [distance, distance + 2]}
        leave(
            root,
            name,
            "mnist",
            2000.25,
            **{"frechet_distance": distance, "precision": 0.5, "recall": 0.25, "coverage": 0.125, "sets": sets},
            floors={"frechet_distance": 0.75},
        )
    leave(root, "cgan", "mnist", 3000)
    leave(root, "ring_gan", "ring of 8", 4000, modes_covered=6, modes=8, reverse_kl=0.5, high_quality_share=0.75)
    leave(root, "digit_features", "mnist", 5000, accuracy=0.995, negative_log_likelihood=0.0625)


def test_summary_is_a_table_a_data_set_the_best_first(root):
    leave_some(root)
    done = reprogan(root, "summary")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    order = [line.split()[0] for line in lines if line.strip()]
    of_digits = order[order.index("digits") + 1 : order.index("stacked")]
    assert of_digits[:3] == ["dcgan", "wgan_gp", "gan"] and "cgan" in of_digits and "digit_features" not in of_digits
    assert order.index("encoders") < order.index("digit_features")
    row = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    numbers = ["9.5", "±", "1.4", "(0.75)", "50.0", "%", "25.0", "%", "12.5", "%"]
    assert row["dcgan"] == ["12,345", "2,000", *numbers]
    assert row["cgan"] == ["12,345", "3,000", "not", "evaluated"] and row["r3gan"] == ["not", "trained"]
    assert row["ring_gan"] == ["12,345", "4,000", "0.5", "6", "of", "8", "75.0", "%"]
    assert row["digit_features"] == ["12,345", "5,000", "99.5", "%", "0.0625"]
    assert max(map(len, lines)) <= 140 and len(lines) <= 56


def test_summary_fits_its_columns_at_long_budgets_and_loses_no_figure_where_it_cannot(root):
    keys = ["frechet_distance", "precision", "recall", "coverage", "inception_score", "conditional_accuracy"]
    scores = dict.fromkeys([*keys, "reconstruction_error", "negative_elbo"], 1.0) | {"frechet_distance": 123.45}
    for name in ("dcgan", "dcgan_conditional", "vae"):
        leave(root, name, "mnist", 12345.6, **scores, sets={"frechet_distance": [123.4, 132.5]})
        (root / f"models/{name}/model.json").write_text('{"data": "mnist", "images_seen": 12345678}')
    lines = reprogan(root, "summary").stdout.splitlines()
    assert max(map(len, lines)) <= 140
    row = next(line for line in lines if line.startswith("dcgan_conditional"))
    assert "12,345,678" in row and "123.5 ± 6.4" in row and row.count("100.0 %") == 4 and row.split()[-1] == "1"

    for name in ("dcgan", "dcgan_conditional", "vae"):
        every = scores | {score.key: 1.0 for score in SCORES if score.key in KEYS}
        (root / f"scores/{name}/scores.json").write_text(json.dumps(every))
    assert "…" not in reprogan(root, "summary").stdout


def test_summary_as_json_has_all_scores_as_numbers(root):
    leave_some(root)
    (root / "models/gan/generator.safetensors").write_bytes(b"trained elsewhere")
    found = json.loads(reprogan(root, "summary", "--json").stdout)
    assert list(found) == list(load(root / "params.yaml").variants)
    assert found["dcgan"] == {
        "data": "mnist",
        "images_seen": 12345,
        "images_per_second": 2000.25,
        "scores": json.loads((root / "scores/dcgan/scores.json").read_text()),
    }
    assert found["gan"]["images_per_second"] is None
    assert found["cgan"]["scores"] is None and found["r3gan"]["images_seen"] is None


def test_summary_names_a_damaged_file(root):
    leave_some(root)
    (root / "models/gan/model.json").write_text("{")
    done = reprogan(root, "summary")
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "models/gan/model.json: damaged: not JSON" in done.stderr and "`dvc repro`" in done.stderr


def test_doctor_as_json(root):
    done = reprogan(root, "doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert {"subject": "python", "found": found[0]["found"], "good": True} == found[0]
    assert [one["good"] for one in found if one["subject"] == "digits"] == [False, False]
    done = reprogan(root, "doctor", "--json", "--fall-back-offline")
    assert done.returncode == 0 and json.loads(done.stdout)[0] == found[0] and "***" in done.stderr


def in_process(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Run the command in this process, where its work can be replaced."""
    monkeypatch.chdir(root)
    monkeypatch.setattr("reprogan.commands.pin_instruction_set", lambda compute: None)  # torch may be loaded here
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done


def test_seeds_as_json(root, monkeypatch):
    outcomes = [Outcome(seed, 640, {"frechet_distance": 2.5 * seed}) for seed in (1, 2)]
    monkeypatch.setattr("reprogan.bench.seeds.outcomes", lambda params, root, name, seeds: outcomes)
    found = json.loads(in_process(root, monkeypatch, "seeds", "gan", "--json").stdout)
    assert found == {
        "gan": [
            {"seed": 1, "images_seen": 640, "metrics": {"frechet_distance": 2.5}},
            {"seed": 2, "images_seen": 640, "metrics": {"frechet_distance": 5.0}},
        ]
    }


def test_bench_as_json(root, monkeypatch):
    rows = [{"isa": isa, "product": 1e11, "convolution": 2e11, "copy": 1e10} for isa in ("native", "avx2")]
    monkeypatch.setattr("reprogan.bench.ceilings.rows", lambda params, isas: rows)
    found = json.loads(in_process(root, monkeypatch, "bench", "ceilings", "--json").stdout)
    assert list(found) == ["ceilings"] and found["ceilings"]["rows"] == rows
    assert set(found["ceilings"]["made"]) >= {"command", "commit", "processor", "threads", "torch", "python"}


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
