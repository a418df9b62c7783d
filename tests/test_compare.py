"""`reprogan compare` in a repository of git and DVC: revisions are read from the cache, mistakes are one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reprogan.blocks import read_yaml
from reprogan.errors import UserError
from reprogan.versions import parse_scores

REPOSITORY = Path(__file__).parents[1]
STAGE = """
import json, pathlib, sys, yaml
name = sys.argv[1]
images = yaml.safe_load(open("params.yaml"))["variants"][name]["training"]["images"]
sets = [20 - images / 10000 + offset for offset in (0, .1, .2)]
scores = {"data": "mnist", "extractor_sha256": "5" * 64, "n_real": 100, "n_fake": 100, "recall": 0.5,
          "frechet_distance": sets[0], "sets": {"frechet_distance": sets}}
folder = pathlib.Path("scores", name)
folder.mkdir(parents=True)
(folder / "scores.json").write_text(json.dumps(scores))
"""
PIPELINE = {
    "stages": {
        "evaluate": {
            "foreach": ["dcgan"],
            "do": {
                "cmd": "python stage.py ${item}",
                "params": ["variants.${item}.training"],
                "outs": ["scores/${item}"],
            },
        }
    }
}
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(REPOSITORY / "src"),
    "HOME": os.environ.get("HOME", "/"),
    "DVC_NO_ANALYTICS": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "test@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of three commits: before scores/, dcgan scored, scored anew with other parameters."""
    root = tmp_path_factory.mktemp("made") / "repository"
    root.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", root)
    run(root, "git", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    (root / "stage.py").write_text(STAGE)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    commit(root, "before")
    (root / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    params = read_yaml(root / "params.yaml")
    del params["compute"]["isa"]  # what this revision did not have yet
    params["variants"]["dcgan"]["old"] = {"key": None}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    repro(root)
    commit(root, "first")
    shutil.copy(REPOSITORY / "params.yaml", root)
    change(root, 40000)
    repro(root)
    commit(root, "second")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy for one test to do with as it likes."""
    shutil.copytree(made, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


def run(root: Path, *command: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    environment = ENVIRONMENT | {"DVC_SITE_CACHE_DIR": str(root.parent / "site")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def compare(root: Path, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    return run(root, sys.executable, "-m", "reprogan.cli", "compare", *arguments, status=status)


def refusal(root: Path, *arguments: str) -> str:
    """The one line with which it refuses."""
    done = compare(root, *arguments, status=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("reprogan: "), done.stderr
    return done.stderr


def repro(root: Path) -> None:
    run(root, sys.executable, "-m", "dvc", "repro", "-q")


def commit(root: Path, name: str) -> None:
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", name)
    run(root, "git", "tag", name)


def change(root: Path, images: int) -> None:
    params = read_yaml(root / "params.yaml")
    params["variants"]["dcgan"]["training"]["images"] = images
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def test_two_revisions_of_one_variant(root):
    done = compare(root, "dcgan@HEAD~1", "dcgan")
    lines = done.stdout.splitlines()
    row = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert row["variants.dcgan.training.images"] == ["100000", "40000"]
    assert row["variants.dcgan.old.key"] == ["null", "–"] and row["compute.isa"] == ["–", "avx2"]
    distance = next(line for line in lines if "Fréchet distance" in line)
    assert distance.split()[2:6] == ["10.1", "±", "0.25", "16.1"] and "+6 (" in distance
    assert distance.rstrip().endswith("worse")
    assert next(line for line in lines if "Recall" in line).rstrip().endswith("not known: one sample set")
    assert "chance of sampling alone" in lines[-1] and "variants.dcgan.training.seeds" in lines[-1]
    assert compare(root, "dcgan", "dcgan@first").stdout.count("better") == 1
    assert "the same parameters" in compare(root, "dcgan", "dcgan@second").stdout


def test_json_is_all_that_is_on_stdout(root):
    found = json.loads(compare(root, "dcgan@first", "dcgan", "--json").stdout)
    assert found["a"] == {"variant": "dcgan", "revision": "first", "changed_since_scored": []}
    assert {"key": "variants.dcgan.training.images", "a": 100000, "b": 40000} in found["parameters"]
    assert {"key": "variants.dcgan.old.key", "a": None} in found["parameters"]
    score = found["scores"][0]
    assert score["key"] == "frechet_distance" and score["verdict"] == "worse" and found["chance"] == "sampling seeds"
    assert score["a"]["mean"] == pytest.approx(10.1) and score["difference"]["low"] == pytest.approx(5.773, abs=0.001)
    assert found["not_comparable"] == []


def test_parameters_edited_after_the_scores_were_made_are_named(root):
    change(root, 50000)
    assert "dcgan: variants.dcgan.training changed after these scores" in compare(root, "dcgan@first", "dcgan").stdout
    found = json.loads(compare(root, "dcgan@first", "dcgan", "--json").stdout)
    assert found["b"]["changed_since_scored"] == ["variants.dcgan.training"]


def test_a_revision_whose_scores_neither_cache_nor_remote_holds(root):
    shutil.rmtree(root / ".dvc/cache")
    line = refusal(root, "dcgan@first", "dcgan")
    assert "first: neither DVC's cache nor a remote holds" in line and "`dvc fetch` or `dvc repro`" in line


def test_a_remote_serves_a_revision_from_before_there_was_one(root):
    remote = root.parent / "remote"
    run(root, sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "there", str(remote))
    shutil.move(root / ".dvc/cache", remote)  # a push of all commits skips those that knew of no remote
    done = compare(root, "dcgan@first", "dcgan")
    assert "10.1 ± 0.25" in done.stdout and "worse" in done.stdout


def test_a_pipeline_in_a_folder_of_a_larger_repository(root):
    shutil.rmtree(root / ".git")
    run(root.parent, "git", "init", "-q")
    commit(root, "whole")
    change(root, 50000)
    assert "16.1 ± 0.25" in compare(root, "dcgan@whole", "dcgan").stdout


def test_what_is_not_there_is_named(root):
    assert "dcgan@nowhere: git knows no revision 'nowhere'" in refusal(root, "dcgan@nowhere", "dcgan")
    assert "git knows no revision ''" in refusal(root, "dcgan@", "dcgan")
    assert "git knows no revision '--all'" in refusal(root, "dcgan@--all", "dcgan")
    assert "params.yaml: no variant 'dcgna'; expected one of" in refusal(root, "dcgna", "dcgan")
    assert "first:params.yaml: no variant 'dcgna'; expected one of" in refusal(root, "dcgan", "dcgna@first")
    assert "before: dvc.lock has no scores/ there: from before scores were kept" in refusal(
        root, "dcgan@before", "dcgan"
    )
    assert "first: dvc.lock has no scores/gan there; run `dvc repro`" in refusal(root, "gan@first", "dcgan")
    assert "scores/gan/scores.json: not there; run `dvc repro evaluate@gan`" in refusal(root, "gan", "dcgan")


@pytest.mark.parametrize(
    "content, found",
    [
        (b'{"frechet_distance": 1', "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[]", "a list"),
        (b'{"frechet_distance": "1"}', "frechet_distance is '1'"),
        (b'{"frechet_distance": NaN}', "frechet_distance is nan"),
        (
            b'{"frechet_distance": 1.0, "sets": {"frechet_distance": [1.0, null]}}',
            "sets.frechet_distance is [1.0, None]",
        ),
        (b'{"frechet_distance": 1.0, "training": [1, 2]}', "training is [1, 2]"),
    ],
)
def test_what_evaluate_does_not_write_is_damaged(content, found):
    with pytest.raises(UserError, match=rf"^first:scores.json: damaged: {re.escape(found)}.*; run `dvc repro`$"):
        parse_scores(content, "first:scores.json", "run `dvc repro`")


def test_a_damaged_file_is_named(root):
    file = root / "scores/dcgan/scores.json"
    file.unlink()  # a link to the cache may not be written to
    file.write_bytes(b'{"frechet_distance": 1')
    line = refusal(root, "dcgan@first", "dcgan")
    assert "scores/dcgan/scores.json: damaged: not JSON" in line and "`dvc checkout --force scores/dcgan`" in line
    failed = run(root, sys.executable, "-m", "reprogan.cli", "summary", status=2)
    assert failed.stderr == line
